"""How many requests pass in the seconds before now."""

from __future__ import annotations

import threading
from collections import deque


class RateWindow:
    """A window that moves with the clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._passed: deque[float] = deque()

    def seconds_to_wait(self, now: float, limit: int | None) -> float:
        """Count one request and return 0, or return how long it must wait without counting it.

        >>> window = RateWindow(60)
        >>> [window.seconds_to_wait(now, limit=1) for now in (100, 130, 160)]
        [0, 30, 0]
        """
        with self._lock:
            self._drop(now)
            if limit is not None and len(self._passed) >= limit:
                return self._passed[0] + self._seconds - now if self._passed else self._seconds
            self._passed.append(now)
            return 0

    def passed(self, now: float) -> int:
        """Return how many requests passed in the window."""
        with self._lock:
            self._drop(now)
            return len(self._passed)

    def _drop(self, now: float) -> None:
        while self._passed and self._passed[0] <= now - self._seconds:
            self._passed.popleft()
