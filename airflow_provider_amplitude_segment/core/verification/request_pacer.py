"""Limit how many requests a second one API receives from this task."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.core.clock import Clock

_Response = TypeVar("_Response")

_SHORTEST_WAIT = 0.001


class RequestPacer:
    """Lets requests of several threads begin so evenly that no second at the server has more than ``per_second``.

    A request counts from its beginning until a second after its end, because it reaches the server at some moment in
    between. So the limit holds however long each request takes.

    A call begins with one request, and may need more, as where an ID is asked for in lower case too. The client calls
    ``before_request`` before each.
    """

    def __init__(self, per_second: int, clock: Clock, stop: threading.Event) -> None:
        self._per_second = per_second
        self._clock = clock
        self._stop = stop
        self._next_at = float("-inf")
        self._active = 0
        self._ended: deque[float] = deque()
        self._lock = threading.Lock()
        self._call = threading.local()

    def try_begin(self) -> float:
        """Begin a request and return 0; or return how many seconds it must wait, at least."""
        with self._lock:
            now = self._clock.monotonic()
            while self._ended and self._ended[0] <= now - 1:
                self._ended.popleft()
            ready_at = self._next_at
            if self._active + len(self._ended) >= self._per_second:
                # Where all are active, only the end of one helps.
                ready_at = max(ready_at, self._ended[0] + 1 if self._ended else now + 1)
            if ready_at > now:
                return max(ready_at - now, _SHORTEST_WAIT)
            self._active += 1
            self._next_at = now + 1 / self._per_second
            return 0.0

    def run(self, call: Callable[[], _Response]) -> _Response:
        """Return what a call returns, whose first request was begun; its last one ends with it."""
        self._call.requests = 0
        try:
            return call()
        finally:
            self._end()

    def before_request(self) -> None:
        """Let a request of this thread's call begin, and so end the one before it.

        Raises:
            CancelledError: the task must end.
        """
        self._call.requests = getattr(self._call, "requests", 0) + 1
        if self._call.requests == 1:
            return
        self._end()
        while pause := self.try_begin():
            if self._clock.wait(pause, self._stop):
                with self._lock:
                    # ``run`` ends it.
                    self._active += 1
                raise CancelledError

    def _end(self) -> None:
        with self._lock:
            self._active -= 1
            self._ended.append(self._clock.monotonic())
