"""Limit how many identifies a second are sent to a destination, or to all destinations of one workspace.

Segment accepts about 1,000 events a second for a workspace, and queues or rejects more
(https://www.twilio.com/docs/segment/connections/rate-limits). A 429 shows that other sources use the limit too: the
rate is halved, and recovers within a minute.
"""

from __future__ import annotations

import threading
from collections import deque

_BATCHES_A_SECOND = 8
_KEPT_SHARE = 0.9937
"""The share of the limit that is used. At eight batches a second, 79 or 80 batches arrive in any ten seconds: 98.75 to
100 % of the limit, even with 60 ms of jitter."""

_SLOWEST_SHARE = 1 / 16
_RECOVERY_SECONDS = 60.0
"""Seconds to recover from a rate of zero to the full rate."""

_SAME_LIMIT_SECONDS = 1.0
"""Several 429s within this time count as one, because their requests were in flight together."""

_MEASURED_SECONDS = 10.0


class RateLimiter:
    """An even rate that threads share. It counts messages, at each attempt, as Segment does.

    Each batch reserves the time that its messages take at the rate, so that neither the first second nor any ten
    seconds exceed ``events_per_second``. Idle time is not saved up. A connection that is slow to open may add one batch
    to its first seconds. Without a limit, a 429 halves the rate measured in the last seconds.
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
        """The most messages of a batch, an eighth of a second's, so that the rate is even; ``None``: no limit."""
        return None if self.events_per_second is None else max(1, int(self.events_per_second / _BATCHES_A_SECOND))

    def reserve(self, events: int, now: float) -> float:
        """Reserve the next free time for ``events``; return the seconds from ``now`` until it begins.

        >>> limiter = RateLimiter(1000)
        >>> [round(limiter.reserve(125, now), 3) for now in (10.0, 10.0, 20.0)]
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
        """Count ``events`` from ``now``, when their response came, instead of from when they were sent.

        The first request waits for its connection. The next ones do not, and would arrive too soon after it.

        >>> limiter = RateLimiter(1000)
        >>> limiter.reserve(125, 10.0), limiter.arrived(125, 10.2), round(limiter.reserve(125, 10.2), 3)
        (0.0, None, 0.126)
        """
        with self._lock:
            if self.events_per_second is not None:
                self._free_at = max(self._free_at, now + events / (self._whole * self._share(now)))

    def slow_down(self, now: float, hold_seconds: float) -> None:
        """React to a 429: send nothing for ``hold_seconds``, then at half the rate, which recovers.

        >>> limiter = RateLimiter(1000)
        >>> limiter.slow_down(10.0, 5.0)
        >>> [round(limiter.reserve(250, now), 3) for now in (10.0, 15.0, 15.0)]
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
        """Return the share of the full rate at a time."""
        return min(1.0, self._share_then + (now - self._slowed_at) / _RECOVERY_SECONDS)

    def _measure(self, events: int, start: float) -> None:
        self._sent.append((start, events))
        while self._sent[0][0] < start - _MEASURED_SECONDS:
            self._sent.popleft()

    def _measured(self) -> float:
        """Return the events a second that were sent in the last seconds."""
        events = sum(events for _, events in self._sent)
        return max(1.0, events / max(1.0, self._sent[-1][0] - self._sent[0][0])) if self._sent else 1.0
