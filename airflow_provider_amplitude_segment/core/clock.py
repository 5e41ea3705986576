"""The clock and the random source that the caller passes to core, and timestamps that only grow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from concurrent.futures import Future


CLOCK_TOLERANCE_SECONDS = 300.0
"""How far the clocks of workers may differ (ADR 0008); a clock that differs by more is wrong."""


class Clock(Protocol):
    """A worker's clock."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC; may jump when the clock is set."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an unknown start."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Sleep, or return early with ``True`` when ``until`` is set."""

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        """Return when one of the futures is done, at the latest after ``seconds``."""


class RandomSource(Protocol):
    """A worker's source of randomness."""

    def random(self) -> float:
        """Return a number in [0, 1)."""

    def token(self) -> str:
        """Return a new random ID of 32 hexadecimal digits."""


def timestamp(epoch_seconds: float) -> str:
    """Return ISO 8601 in UTC with milliseconds, as Segment expects it.

    >>> timestamp(1_795_442_209.1523)
    '2026-11-23T13:56:49.152Z'
    """
    moment = datetime.fromtimestamp(int(epoch_seconds * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later_timestamp(epoch_seconds: float, than: str | None) -> str:
    """Return the timestamp of now, or a millisecond after ``than`` where now is not later.

    A ``than`` that is ahead by more than clocks may differ comes from a wrong clock and does not count. Segment
    corrects a message's time by ``sentAt``, so the messages of that clock arrived with their true time (ADR 0019).

    >>> later_timestamp(1_795_442_209.1523, "2026-11-23T13:56:50.000Z")
    '2026-11-23T13:56:50.001Z'
    >>> later_timestamp(1_795_442_209.1523, "2027-12-28T13:56:50.000Z")
    '2026-11-23T13:56:49.152Z'
    """
    now = timestamp(epoch_seconds)
    if than is None or now > than or is_ahead(than, epoch_seconds):
        return now
    # The half millisecond is more than a float loses in the two conversions.
    return timestamp(_epoch(than) + 0.0015)


def is_ahead(moment: str, epoch_seconds: float) -> bool:
    """Return whether a timestamp is ahead of a clock by more than the clocks of workers may differ."""
    return seconds_ahead(moment, epoch_seconds) > CLOCK_TOLERANCE_SECONDS


def seconds_ahead(moment: str, epoch_seconds: float) -> float:
    """Return by how many seconds a timestamp is ahead of a clock; negative where it is behind."""
    return _epoch(moment) - epoch_seconds


class DeliveryClock:
    """The clock of a delivery: it gives the timestamp of the messages and the ``sentAt`` of each request.

    Segment sets a message's time to ``receivedAt - (sentAt - timestamp)``
    (https://www.twilio.com/docs/segment/connections/spec/common). That is the true time, even by a wrong clock, as long
    as one clock gives both. So a delivery does not use the timestamp of its plan, which may come from another clock.
    Where the plan is ahead by no more than clocks may differ, this clock starts at the plan's time.

    Attributes:
        moment: the timestamp of the delivery's messages.
    """

    def __init__(self, clock: Clock, planned: str) -> None:
        """Read ``clock`` once, for the delivery of a plan made at ``planned``; then count seconds."""
        now = clock.now()
        ahead = seconds_ahead(planned, now)
        starts_at_plan = 0 < ahead <= CLOCK_TOLERANCE_SECONDS
        self.moment = planned if starts_at_plan else timestamp(now)
        self._clock = clock
        self._offset = now + (ahead if starts_at_plan else 0.0) - clock.monotonic()

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC; does not change when the worker's clock is set."""
        return self._clock.monotonic() + self._offset

    def monotonic(self) -> float:
        """Return seconds that never go back, from an unknown start."""
        return self._clock.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Sleep, or return early with ``True`` when ``until`` is set."""
        return self._clock.wait(seconds, until)

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        """Return when one of the futures is done, at the latest after ``seconds``."""
        self._clock.wait_for_any(futures, seconds)


def duration(seconds: float) -> str:
    """Return a length of time as text, in the largest unit of which it has at least two.

    >>> [duration(seconds) for seconds in (1.2, 119, 301, 7_200, 34_560_000)]
    ['1 second', '119 seconds', '5 minutes', '2 hours', '400 days']
    """
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length):,} {unit}s"
    whole = max(1, round(seconds))
    return f"{whole} second{'' if whole == 1 else 's'}"


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
