"""Time that passes when somebody waits."""

import threading
import time
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any


class FakeClock:
    """Starts on 2026-11-23; a wait is over at once, and so much later."""

    def __init__(self) -> None:
        self.seconds = 1_795_392_000.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds

    def wait(self, seconds: float, until: threading.Event) -> bool:
        if threading.current_thread().name == "claim-renewal":
            # A test moves time itself where a renewal matters.
            return until.wait()
        if until.wait(0.001):
            return True
        self.pass_by(seconds)
        return until.is_set()

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        # Time is what the senders let pass; the wait itself is short, so that what they do is seen soon.
        wait(futures, min(seconds, 0.002), return_when=FIRST_COMPLETED)


class FastClock:
    """A clock on which many seconds pass in each real one."""

    def __init__(self, times: float) -> None:
        self._times = times
        self._began = time.time(), time.monotonic()

    def now(self) -> float:
        return self._began[0] + self._times * (time.monotonic() - self._began[1])

    def monotonic(self) -> float:
        return self._times * time.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        return until.wait(seconds / self._times)

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        wait(futures, seconds / self._times, return_when=FIRST_COMPLETED)


class WrongClock:
    """A worker's clock that is ahead of the right one, or behind it; it can be set, as NTP does."""

    def __init__(self, right: FakeClock, ahead: float) -> None:
        self._right = right
        self.ahead = ahead

    def now(self) -> float:
        return self._right.now() + self.ahead

    def monotonic(self) -> float:
        return self._right.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        return self._right.wait(seconds, until)

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        self._right.wait_for_any(futures, seconds)


class FakeRandomSource:
    """Chance that counts."""

    def __init__(self) -> None:
        self.tokens = 0

    def random(self) -> float:
        return 0.5

    def token(self) -> str:
        self.tokens += 1
        return f"{self.tokens:032x}"
