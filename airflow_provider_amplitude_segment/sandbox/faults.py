"""Faults that a test orders: what goes wrong, and at which request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

Point = Literal[
    "segment.batch",
    "segment.public",
    "segment.overview",
    "segment.suppressions",
    "segment.profile",
    "segment.token",
    "amplitude.list",
    "amplitude.request",
    "amplitude.status",
    "amplitude.file",
    "amplitude.storage",
    "amplitude.usage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong at one kind of request.

    A fault applies before everything else, credentials included. Without ``status``, ``reset`` or
    ``cut_after_bytes`` the client gets the real response, after ``delay_seconds`` and with ``headers`` added.

    Raises:
        ValueError: ``on`` is not a kind of request, or the arguments contradict each other.
    """

    on: Point
    times: int = 1
    """How many matching requests it affects."""
    after: int = 0
    """How many matching requests pass before it."""
    status: int | None = None
    """The status of the response, instead of the real response."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the response; added to the real response's headers where the response is the real one."""
    body: bytes = b""
    """Body of the response; only with ``status``."""
    apply: bool = False
    """Do the real work first, then respond as the fault says; the client does not get the real response."""
    reset: bool = False
    """Read the request, then cut the connection without a response."""
    cut_after_bytes: int | None = None
    """Announce the whole body, send this much of it, then cut the connection."""
    cut_unannounced: bool = False
    """Send neither the body's length nor chunks: the body ends where the connection ends, as behind a proxy that speaks
    HTTP/1.0. With ``cut_after_bytes`` the client cannot see the cut; without it the body is whole."""
    delay_seconds: float = 0
    """Wait before the work, or with ``apply`` between the work and the response; ``Faults.clear`` ends the wait."""

    def __post_init__(self) -> None:
        """Raise for a fault that could never occur, because a test with a misspelled fault would pass without it."""
        if self.on not in get_args(Point):
            raise ValueError(f"Fault(on={self.on!r}): takes one of {', '.join(get_args(Point))}")
        if self.times < 1 or self.after < 0 or self.delay_seconds < 0:
            raise ValueError("Fault: times is at least 1, after and delay_seconds are not negative")
        if self.body and self.status is None:
            raise ValueError("Fault(body=...): needs a status")
        if self.reset and (self.status is not None or self.cut_after_bytes is not None or self.cut_unannounced):
            raise ValueError("Fault(reset=True): a cut connection has no status and no body")

    @property
    def keeps_the_response(self) -> bool:
        """Whether the client gets the real response, or the beginning of it."""
        return self.status is None and not self.reset


@dataclass(slots=True)
class _Pending:
    fault: Fault
    to_skip: int
    to_meet: int


class Faults:
    """The pending faults; a test may add more while the server runs.

    Faults of one kind of request occur in the order of adding. The second starts to count its ``after`` when the first
    is used up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._met = 0
        self._cleared = 0

    @property
    def pending(self) -> list[Fault]:
        """Faults that are not used up."""
        with self._lock:
            return [pending.fault for pending in self._pending]

    @property
    def met(self) -> int:
        """How many requests had a fault so far."""
        with self._lock:
            return self._met

    @property
    def cleared(self) -> int:
        """How often the faults were cleared so far."""
        with self._lock:
            return self._cleared

    def add(self, *faults: Fault) -> None:
        """Add faults after the pending ones."""
        with self._lock:
            self._pending += [_Pending(fault, fault.after, fault.times) for fault in faults]

    def clear(self) -> None:
        """Remove all pending faults, and end the delays of requests that wait."""
        with self._lock:
            self._pending.clear()
            self._cleared += 1

    def take(self, point: Point) -> Fault | None:
        """Return the fault of the next request of this kind, and count it as used."""
        with self._lock:
            first = next((pending for pending in self._pending if pending.fault.on == point), None)
            if first is None:
                return None
            if first.to_skip:
                first.to_skip -= 1
                return None
            first.to_meet -= 1
            self._met += 1
            if not first.to_meet:
                self._pending.remove(first)
            return first.fault
