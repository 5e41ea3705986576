"""Faults on order: what a test wants to go wrong, and at which request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal, get_args

Point = Literal[
    "segment.batch",
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

    A fault stands in front of everything, credentials included. Without ``status``, ``reset`` or
    ``cut_after_bytes`` the real answer is given, late by ``delay_seconds`` and with ``headers`` added.

    Raises:
        ValueError: ``on`` is no known kind of request, or the parts contradict each other.
    """

    on: Point
    times: int = 1
    """How many matching requests it meets."""
    after: int = 0
    """How many matching requests pass unharmed first."""
    status: int | None = None
    """Answer this instead of the real answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the answer; beside the real ones where the answer is the real one."""
    body: bytes = b""
    """Body of the answer; only with ``status``."""
    apply: bool = False
    """Do the real work first, then answer as the fault says: the client's answer is lost."""
    reset: bool = False
    """Read the request, then cut the connection without an answer."""
    cut_after_bytes: int | None = None
    """Announce the whole body, send this much of it, then cut the connection."""
    cut_unannounced: bool = False
    """Announce no end of the body, neither its length nor chunks: it ends where the connection does, as behind a proxy
    that speaks HTTP/1.0. With ``cut_after_bytes`` the client cannot see the cut; without, the body is whole."""
    delay_seconds: float = 0
    """Wait: before the work, or with ``apply`` between the work and the answer."""

    def __post_init__(self) -> None:
        """Refuse what could never happen, so that a misspelt fault does not pass as a calm day."""
        if self.on not in get_args(Point):
            raise ValueError(f"Fault(on={self.on!r}): takes one of {', '.join(get_args(Point))}")
        if self.times < 1 or self.after < 0 or self.delay_seconds < 0:
            raise ValueError("Fault: times is at least 1, after and delay_seconds are not negative")
        if self.body and self.status is None:
            raise ValueError("Fault(body=...): needs a status")
        if self.reset and (self.status is not None or self.cut_after_bytes is not None or self.cut_unannounced):
            raise ValueError("Fault(reset=True): a cut connection has no status and no body")

    @property
    def keeps_the_answer(self) -> bool:
        """Whether the client gets the real answer, or the beginning of it."""
        return self.status is None and not self.reset


@dataclass(slots=True)
class _Pending:
    fault: Fault
    to_skip: int
    to_meet: int


class Faults:
    """The faults still to come; safe to add to while the server runs.

    Faults of one kind of request are met in the order they were added: the second starts to count its
    ``after`` when the first is used up.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._met = 0

    @property
    def pending(self) -> list[Fault]:
        """Faults that have not met all their requests yet."""
        with self._lock:
            return [pending.fault for pending in self._pending]

    @property
    def met(self) -> int:
        """How many requests met a fault so far."""
        with self._lock:
            return self._met

    def add(self, *faults: Fault) -> None:
        """Order faults, behind those that are pending already."""
        with self._lock:
            self._pending += [_Pending(fault, fault.after, fault.times) for fault in faults]

    def clear(self) -> None:
        """Call off every fault that is still to come."""
        with self._lock:
            self._pending.clear()

    def take(self, point: Point) -> Fault | None:
        """Give the fault that the next request of this kind meets, and count that it was met."""
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
