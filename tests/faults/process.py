"""A process: one try of one run, and the accidents that are to meet it between two of its steps.

A step is one operation of the store or one request. It has a place (the ledger's folder of a destination, or the run
itself), a kind, and a number: of all the place's steps, and of those of its kind. Looks at the claims and renewals have
numbers of their own, as their number is chance.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "run"
"""The place of steps that belong to no destination."""

_UNNUMBERED = frozenset({"look", "renewal"})
_LONGEST_PAUSE_SECONDS = 60.0


class Killed(BaseException):
    """The process is dead: nothing catches this, and nothing is written or sent any more."""


class TimedOut(BaseException):
    """Airflow's execution_timeout, in the thread that runs the sync."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: where, what, and whether it writes to the store, or is a batch."""

    place: str
    kind: str
    of_store: bool = False
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Accident:
    """What is to happen, and at which step.

    Attributes:
        what: ``kill``, ``torn write``, ``state path failed``, ``state path failed late``, ``pause``, ``late batch``,
            ``time-out after effect``, ``slow answer``, ``execution time-out`` or ``stop``.
        kind: of the step; ``None`` for any that is numbered.
        number: from 1; the first fitting step from this one on is met.
        after: after the step rather than before.
        place: of the step; ``None`` for any.
    """

    what: str
    number: int
    kind: str | None = None
    after: bool = False
    place: str | None = None

    def fits(self, step: Step, number: int, kind_number: int, *, after: bool, in_own_thread: bool) -> bool:
        if after != self.after or self.place not in {None, step.place}:
            return False
        if self.kind is None:
            is_reached = step.kind not in _UNNUMBERED and number >= self.number
        else:
            is_reached = step.kind == self.kind and kind_number >= self.number
        return is_reached and self._may_meet(step, in_own_thread=in_own_thread)

    def _may_meet(self, step: Step, *, in_own_thread: bool) -> bool:
        match self.what:
            case "torn write":
                return step.writes
            case "state path failed" | "state path failed late":
                return step.of_store
            case "late batch" | "time-out after effect":
                return step.kind == "batch"
            case "slow answer":
                return not step.of_store
            case "execution time-out":
                return in_own_thread
            case _:
                return True


class Process:
    """One try of a run.

    ``who`` is the run as it is known ports of the package, which may take two for one. ``ahead`` are the seconds by
    which the worker's clock is ahead.
    """

    def __init__(
        self, name: str, run_key: str, accidents: list[Accident], *, who: str = "", ahead: float = 0.0
    ) -> None:
        self.name = name
        self.run_key = run_key
        self.accidents = accidents
        self.who = who or run_key
        self.ahead = ahead
        self.met: list[str] = []
        self.steps: list[str] = []
        self.is_dead = False
        self.is_paused = False
        self.stop = threading.Event()
        self.own_thread: threading.Thread | None = None
        self.claims: dict[str, int] = {}
        # The run has ended: its record is gone.
        self.has_forgotten = False
        # When the Profile API was asked last, by the path of the request.
        self.asked_at: dict[str, float] = {}
        # An export was requested and its ID is not saved; how many accidents fell there.
        self.has_unsaved_export = False
        self.accidents_before_saving = 0
        self._numbers: Counter[str] = Counter()
        self._kind_numbers: Counter[tuple[str, str]] = Counter()
        self._busy = 0
        self._state = threading.Condition()

    @property
    def is_running(self) -> bool:
        return not self.is_dead and not self.is_paused

    def gate(self) -> None:
        """Let a thread of this process go on, unless it is paused or dead."""
        if self.is_paused:
            with self._state:
                self._state.wait_for(lambda: not self.is_paused, _LONGEST_PAUSE_SECONDS)
        if self.is_dead:
            raise Killed

    @contextmanager
    def step(self, step: Step) -> Iterator[str | None]:
        """Take a step: what is to happen before it happens, then the body, then what is to happen after.

        Yields:
            What is to happen in the step itself, if anything.
        """
        self.gate()
        with self._state:
            self._busy += 1
            self._count(step)
        try:
            inside = self._meet(step, after=False)
            self.gate()
            yield inside
            if self.is_dead:
                raise Killed
            self._meet(step, after=True)
        finally:
            with self._state:
                self._busy -= 1
                self._state.notify_all()
        self.gate()

    def resume(self) -> None:
        with self._state:
            self.is_paused = False
            self._state.notify_all()

    def await_quiet(self, seconds: float = 2.0) -> None:
        """Return when a paused process stands still: nothing of it is in the middle of a step."""
        with self._state:
            self._state.wait_for(lambda: self._busy == 0, seconds)

    def die(self) -> None:
        self.is_dead = True
        self.resume()

    def _count(self, step: Step) -> None:
        self._kind_numbers[step.place, step.kind] += 1
        if step.kind not in _UNNUMBERED:
            self._numbers[step.place] += 1
            self.steps.append(step.kind)

    def _meet(self, step: Step, *, after: bool) -> str | None:
        in_own_thread = threading.current_thread() is self.own_thread
        number, kind_number = self._numbers[step.place], self._kind_numbers[step.place, step.kind]
        for accident in self.accidents:
            if accident.fits(step, number, kind_number, after=after, in_own_thread=in_own_thread):
                self.accidents.remove(accident)
                return self._suffer(accident.what, step, after=after)
        return None

    def _suffer(self, what: str, step: Step, *, after: bool) -> str | None:
        self.met.append(what)
        self.steps.append(f"<{what} {'after' if after else 'before'} {step.kind}>")
        # Who is paused right before it asks cannot know on waking that its own retry has asked meanwhile.
        if self.has_unsaved_export or (what == "pause" and step.kind == "request" and not after):
            self.accidents_before_saving += 1
        match what:
            case "kill":
                self.is_dead = True
                raise Killed
            case "pause":
                self._pause()
            case "execution time-out":
                raise TimedOut
            case "stop":
                self.stop.set()
            case _:
                return what
        return None

    def _pause(self) -> None:
        with self._state:
            self._busy -= 1
            self.is_paused = True
            self._state.notify_all()
            self._state.wait_for(lambda: not self.is_paused, _LONGEST_PAUSE_SECONDS)
            self._busy += 1
        if self.is_dead:
            raise Killed
