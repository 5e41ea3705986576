"""How often, and how long after each other, one thing is tried again."""

from __future__ import annotations

from dataclasses import dataclass

# 2.0 ** 60 is far over any cap and far under what a float overflows at.
_HIGHEST_POWER = 60


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of one request, as Segment's newest libraries do them.

    Sources: analytics-next ``packages/node`` (publisher.ts, tests T01-T22), analytics-python 2.4.0
    (consumer.py), which agree on the first five numbers; they differ on the total.

    Attributes:
        retries: tries after the first one. A wait that ``Retry-After`` asked for spends none.
        base_seconds: wait before the first retry.
        factor: each wait is this many times the one before.
        cap_seconds: no wait is longer, but for the jitter.
        jitter: share by which a wait may be shorter or longer, so that workers do not come back together.
        total_seconds: after these no retry begins, whoever asked for the waits.
    """

    retries: int = 10
    base_seconds: float = 0.5
    factor: float = 2.0
    cap_seconds: float = 60.0
    jitter: float = 0.1
    total_seconds: float = 3600.0

    def back_off_seconds(self, retry: int, random: float) -> float:
        """Return the seconds to wait before a retry.

        Args:
            retry: Number of the retry, from 1.
            random: A number in [0, 1); 0.5 is no jitter.

        >>> policy = RetryPolicy()
        >>> [policy.back_off_seconds(retry, 0.5) for retry in (1, 2, 3, 7, 8, 10_000)]
        [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]
        >>> policy.back_off_seconds(2, 0.0)
        0.9
        """
        power = min(max(retry, 1) - 1, _HIGHEST_POWER)
        wait = min(self.cap_seconds, self.base_seconds * self.factor**power)
        return wait * (1 + self.jitter * (2 * random - 1))
