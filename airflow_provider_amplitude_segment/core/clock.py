"""What core knows of time and chance: two roles that the caller fills."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading


class Clock(Protocol):
    """Time as a worker has it."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, from an unknown start."""
        ...

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Sleep, or return early with ``True`` when ``until`` is set."""
        ...


class Chance(Protocol):
    """Randomness as a worker has it."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        ...

    def token(self) -> str:
        """Return a new random ID of 32 hexadecimal digits."""
        ...


def timestamp(epoch_seconds: float) -> str:
    """Return ISO-8601 in UTC with milliseconds, as Segment wants it.

    >>> timestamp(1_795_442_209.1523)
    '2026-11-23T13:56:49.152Z'
    """
    moment = datetime.fromtimestamp(int(epoch_seconds * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def later_timestamp(epoch_seconds: float, than: str | None) -> str:
    """Return now, or a millisecond after ``than`` where now is not later.

    >>> later_timestamp(1_795_442_209.1523, "2026-11-23T13:56:50.000Z")
    '2026-11-23T13:56:50.001Z'
    """
    now = timestamp(epoch_seconds)
    if than is None or now > than:
        return now
    # The half millisecond outweighs what a float loses in going there and back.
    return timestamp(datetime.fromisoformat(than).timestamp() + 0.0015)
