"""Limit how many requests a second one API receives from this task."""

from __future__ import annotations

from collections import deque


class RequestPacer:
    """Lets requests begin so evenly that no second at the server has more than ``per_second`` of them.

    A request counts from its beginning until a second after its end, because it reaches the server at some moment in
    between. So the limit holds however long each request takes. Only one thread uses it.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._next_at = float("-inf")
        self._active = 0
        self._ended: deque[float] = deque()

    def wait_seconds(self, now: float) -> float:
        """Return how long the next request must wait; 0 where it may begin.

        >>> pacer = RequestPacer(2)
        >>> pacer.wait_seconds(10.0), pacer.begin(10.0), pacer.wait_seconds(10.0), pacer.begin(10.5)
        (0.0, None, 0.5, None)
        >>> pacer.end(10.6), pacer.end(10.9), round(pacer.wait_seconds(11.0), 3), pacer.wait_seconds(11.7)
        (None, None, 0.6, 0.0)
        """
        while self._ended and self._ended[0] <= now - 1:
            self._ended.popleft()
        if self._active + len(self._ended) >= self._per_second:
            # Where all are active, only the end of one helps.
            return max(self._next_at, self._ended[0] + 1 if self._ended else now + 1) - now
        return max(0.0, self._next_at - now)

    def begin(self, now: float) -> None:
        """Count a request that begins."""
        self._active += 1
        self._next_at = now + 1 / self._per_second

    def end(self, now: float) -> None:
        """Count a request that has ended."""
        self._active -= 1
        self._ended.append(now)
