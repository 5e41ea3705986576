"""The pace: how many identifies a second a destination, or all destinations of one workspace, are sent.

Segment takes about 1,000 events a second of a workspace and queues or refuses what is above
(https://www.twilio.com/docs/segment/connections/rate-limits).
"""

from __future__ import annotations

import threading


class Pace:
    """An even pace shared by threads. Attempts are counted, as Segment counts them.

    Batches start on a grid that leaves each of them the time its messages take, so that no second sees more than
    ``events_per_second`` of them; time in which nobody sent is not saved up.
    """

    def __init__(self, events_per_second: float | None) -> None:
        self.events_per_second = events_per_second
        self._free_at = float("-inf")
        self._lock = threading.Lock()

    @property
    def batch_messages(self) -> int | None:
        """Messages that a batch may hold so that the pace is even: a quarter of a second's; ``None``: any number."""
        return None if self.events_per_second is None else max(1, int(self.events_per_second / 4))

    def reserve(self, events: int, now: float) -> float:
        """Reserve the next free time for ``events``; return how many seconds from ``now`` it begins.

        >>> pace = Pace(1000)
        >>> pace.reserve(250, 10.0), pace.reserve(250, 10.0), pace.reserve(250, 20.0)
        (0.0, 0.25, 0.0)
        """
        if self.events_per_second is None:
            return 0.0
        with self._lock:
            start = max(now, self._free_at)
            self._free_at = start + events / self.events_per_second
            return start - now
