"""Show progress: delivered, planned, rate and time left, as a log line every few seconds and as facts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.clock import Clock


log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 5.0

Show = Callable[[Mapping[str, str | int | float | None]], None]
"""Takes flat facts without user IDs: ``step``, or those of ``Progress.facts``.

Several threads call it, so often that it must return at once; it raises nothing.
"""


def show_nothing(facts: Mapping[str, str | int | float | None]) -> None:
    """Discard progress."""


class Progress:
    """How far the delivery to one destination is."""

    def __init__(self, label: str, *, done: int, planned: int, clock: Clock, show: Show = show_nothing) -> None:
        """Begin with ``done`` of ``planned`` changes delivered by earlier tries."""
        self._label = label
        self._planned = planned
        self._clock = clock
        self._show = show
        self._done = self._done_at_start = done
        self._began = self._last_line = clock.monotonic()
        show(self.facts())

    def add(self, delivered: int) -> None:
        """Count changes that were acknowledged or rejected."""
        self._done += delivered
        self._show(self.facts())

    def log_if_due(self) -> None:
        """Log a line if the last one is five seconds old, also while nothing is delivered."""
        if self._clock.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = self._clock.monotonic()
            log.info("%s", self.line())

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Changes delivered a second, since the beginning."""
        return (self._done - self._done_at_start) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is delivered at this rate; ``None`` while the rate is zero."""
        return (self._planned - self._done) / self.rate if self.rate else None

    def facts(self) -> dict[str, str | int | float | None]:
        """Return ``destination`` (the connection), ``delivered``, ``planned``, ``per_second`` and ``seconds_left``."""
        left = self.seconds_left
        return {
            "destination": self._label,
            "delivered": self._done,
            "planned": self._planned,
            "per_second": round(self.rate),
            "seconds_left": None if left is None else round(left),
        }

    def line(self) -> str:
        """Return a line such as ``segment_default: 12,000 of 100,000 delivered, 1,000/s, 88 s left``."""
        left = "time left unknown" if self.seconds_left is None else f"{self.seconds_left:,.0f} s left"
        return f"{self._label}: {self._done:,} of {self._planned:,} delivered, {self.rate:,.0f}/s, {left}"


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Fold the lines that any thread logs meanwhile under ``title``."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")
