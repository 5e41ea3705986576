"""The pace: how many identifies a second a destination, or all destinations of one workspace, are sent.

Segment takes about 1,000 events a second of a workspace and queues or refuses what is above
(https://www.twilio.com/docs/segment/connections/rate-limits). A 429 says that others send to it, too: the pace halves,
and comes back within a minute.
"""

from __future__ import annotations

import threading
from collections import deque

_BATCHES_A_SECOND = 8
_KEPT_SHARE = 0.9937
"""Of the limit. At eight batches a second, ten seconds hold 79 or 80 of them, 98.75 to 100 % of the limit, also when
batches arrive up to 60 ms unevenly."""

_SLOWEST_SHARE = 1 / 16
_RECOVERY_SECONDS = 60.0
"""How long it takes from a standstill to the whole pace."""

_SAME_LIMIT_SECONDS = 1.0
"""Requests under way side by side that are refused within this time met one and the same limit."""

_MEASURED_SECONDS = 10.0


class RateLimiter:
    """An even pace shared by threads. Attempts are counted, as Segment counts them.

    Batches start on a grid that leaves each of them the time its messages take, so that neither the first second nor
    any ten send more than ``events_per_second``; time in which nobody sent is not saved up. What arrives is as even as
    the way there: a connection that is slow to open may bring one batch more into its first seconds. Without a limit,
    what was sent in the last seconds is what a 429 halves.
    """

    def __init__(self, events_per_second: float | None) -> None:
        self.events_per_second = events_per_second
        self._free_at = float("-inf")
        self._slowed_at = float("-inf")
        self._share_then = 1.0
        self._whole = _KEPT_SHARE * (events_per_second or 0.0)
        self._sent: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()

    @property
    def batch_messages(self) -> int | None:
        """Messages that a batch may hold so that the pace is even: an eighth of a second's; ``None``: any number."""
        return None if self.events_per_second is None else max(1, int(self.events_per_second / _BATCHES_A_SECOND))

    def reserve(self, events: int, now: float) -> float:
        """Reserve the next free time for ``events``; return how many seconds from ``now`` it begins.

        >>> pace = Pace(1000)
        >>> [round(pace.reserve(125, now), 3) for now in (10.0, 10.0, 20.0)]
        [0.0, 0.126, 0.0]
        """
        with self._lock:
            start = max(now, self._free_at)
            share = self._share(start)
            if self.events_per_second is None:
                self._measure(events, start)
            if self.events_per_second is not None or share < 1:
                self._free_at = start + events / (self._whole * share)
            return start - now

    def arrived(self, events: int, now: float) -> None:
        """Count ``events`` from ``now`` on, when they have arrived for certain, not from when they were sent.

        The first request waits for its connection; those after it do not, and would follow too closely.

        >>> pace = Pace(1000)
        >>> pace.reserve(125, 10.0), pace.arrived(125, 10.2), round(pace.reserve(125, 10.2), 3)
        (0.0, None, 0.126)
        """
        with self._lock:
            if self.events_per_second is not None:
                self._free_at = max(self._free_at, now + events / (self._whole * self._share(now)))

    def slow_down(self, now: float, hold_seconds: float) -> None:
        """Take a 429 into account: send nothing for ``hold_seconds``, then at half the pace, and faster again.

        >>> pace = Pace(1000)
        >>> pace.slow_down(10.0, 5.0)
        >>> [round(pace.reserve(250, now), 3) for now in (10.0, 15.0, 15.0)]
        [5.0, 0.431, 0.857]
        """
        with self._lock:
            self._free_at = max(self._free_at, now + hold_seconds)
            if now - self._slowed_at < _SAME_LIMIT_SECONDS:
                return
            if self.events_per_second is None and self._share(now) >= 1:
                self._whole = self._measured()
            self._share_then = max(_SLOWEST_SHARE, self._share(now) / 2)
            self._slowed_at = now

    def _share(self, now: float) -> float:
        """Return the share of the whole pace that is sent at a time."""
        return min(1.0, self._share_then + (now - self._slowed_at) / _RECOVERY_SECONDS)

    def _measure(self, events: int, start: float) -> None:
        self._sent.append((start, events))
        while self._sent[0][0] < start - _MEASURED_SECONDS:
            self._sent.popleft()

    def _measured(self) -> float:
        """Return the events a second that were sent lately."""
        events = sum(events for _, events in self._sent)
        return max(1.0, events / max(1.0, self._sent[-1][0] - self._sent[0][0])) if self._sent else 1.0
