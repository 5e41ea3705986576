"""Time that passes when a process waits, the same for all processes of a history."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from faults.process import Process

START = 1_795_392_000.0
"""2026-11-23, in seconds since 1970."""

RENEWAL = "claim-renewal"
_ASK_AGAIN_SECONDS = 0.02
# Real seconds. A waiter lets the thread that looks at the claims go first: so the same seed gives the same history.
_YIELD_SECONDS = 0.002
_DOZE_SECONDS = 0.005
_LONGEST_RENEWAL_SECONDS = 5.0


@dataclass(eq=False)
class _Sleeper:
    """A thread that renews claims, asleep until ``deadline``."""

    process: Process
    deadline: float
    thread: threading.Thread = field(default_factory=threading.current_thread)
    woken: bool = False


class VirtualTime:
    """Seconds since 1970. Whoever lets time pass waits for each renewal that falls due meanwhile."""

    def __init__(self) -> None:
        self.seconds = START
        self._passing = threading.Lock()
        self._sleepers: dict[threading.Thread, _Sleeper] = {}

    def pass_by(self, seconds: float) -> None:
        with self._passing:
            end = self.seconds + seconds
            while (sleeper := self._next_due(end)) is not None:
                self.seconds = max(self.seconds, sleeper.deadline)
                self._wake(sleeper)
            self.seconds = end

    def sleep(self, process: Process, seconds: float, until: threading.Event) -> bool:
        """Sleep as a renewing thread does: woken by the time that others let pass."""
        sleeper = _Sleeper(process, self.seconds + seconds)
        self._sleepers[sleeper.thread] = sleeper
        while not sleeper.woken:
            if until.wait(_DOZE_SECONDS) or process.is_dead:
                self._sleepers.pop(sleeper.thread, None)
                return True
        return until.is_set()

    def _next_due(self, end: float) -> _Sleeper | None:
        """Return who is to be woken first; a paused process sleeps on, whatever the time."""
        running = [s for s in tuple(self._sleepers.values()) if s.process.is_running and s.deadline <= end]
        return min(running, key=lambda sleeper: sleeper.deadline, default=None)

    def _wake(self, sleeper: _Sleeper) -> None:
        """Wake it, and return when it sleeps again, has ended, or its process was stopped in the middle."""
        del self._sleepers[sleeper.thread]
        sleeper.woken = True
        pause = threading.Event()
        for _ in range(int(_LONGEST_RENEWAL_SECONDS / 0.001)):
            if sleeper.thread in self._sleepers or not sleeper.thread.is_alive() or not sleeper.process.is_running:
                return
            pause.wait(0.001)


class ProcessClock:
    """The clock and the chance of one process; a paused one reads none, a dead one neither."""

    def __init__(self, time: VirtualTime, process: Process, tokens: list[int]) -> None:
        self._time = time
        self._process = process
        self._tokens = tokens

    def now(self) -> float:
        return self.monotonic() + self._process.ahead

    def monotonic(self) -> float:
        self._process.gate()
        return self._time.seconds

    def wait(self, seconds: float, until: threading.Event) -> bool:
        self._process.gate()
        if threading.current_thread().name == RENEWAL:
            return self._time.sleep(self._process, seconds, until)
        if until.wait(_YIELD_SECONDS):
            return True
        self._process.gate()
        # Who asks again and again whether a look was taken lets no time pass: how often it asks is chance.
        if seconds > _ASK_AGAIN_SECONDS:
            self._time.pass_by(seconds)
        return until.is_set()

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        self._process.gate()
        # Time is what the senders let pass; the wait itself is short, so that what they do is seen soon.
        wait(futures, min(seconds, 0.002), return_when=FIRST_COMPLETED)
        self._process.gate()

    def sleep(self, seconds: float) -> None:
        self.wait(max(seconds, 2 * _ASK_AGAIN_SECONDS), threading.Event())

    def random(self) -> float:
        return 0.5

    def token(self) -> str:
        # No two plans of a history are of the same moment.
        self._time.pass_by(0.005)
        self._tokens[0] += 1
        return f"{self._tokens[0]:032x}"
