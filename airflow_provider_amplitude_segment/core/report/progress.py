"""Progress: a line in the log each few seconds with done, planned, rate and time left, and the same as facts."""

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
"""Takes facts of how far a sync is, flat and without user IDs: ``step``, or those of ``Progress.facts``.

Called by several threads, so often that it must return at once; raises nothing.
"""


def show_nothing(facts: Mapping[str, str | int | float | None]) -> None:
    """Show progress to nobody."""


class Progress:
    """How far the telling of one destination is."""

    def __init__(self, label: str, *, done: int, planned: int, clock: Clock, show: Show = show_nothing) -> None:
        """Begin with ``done`` of ``planned`` changes settled by earlier tries."""
        self._label = label
        self._planned = planned
        self._clock = clock
        self._show = show
        self._done = self._done_at_start = done
        self._began = self._last_line = clock.monotonic()
        show(self.facts())

    def add(self, settled: int) -> None:
        """Count settled changes."""
        self._done += settled
        self._show(self.facts())

    def log_if_due(self) -> None:
        """Write a line where it is time for one, also while nothing is settled."""
        if self._clock.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = self._clock.monotonic()
            log.info("%s", self.line())

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Changes settled a second, since the beginning."""
        return (self._done - self._done_at_start) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is told at this rate; ``None`` while nothing says."""
        return (self._planned - self._done) / self.rate if self.rate else None

    def facts(self) -> dict[str, str | int | float | None]:
        """Return ``destination`` (the connection), ``told``, ``planned``, ``per_second`` and ``seconds_left``."""
        left = self.seconds_left
        return {
            "destination": self._label,
            "told": self._done,
            "planned": self._planned,
            "per_second": round(self.rate),
            "seconds_left": None if left is None else round(left),
        }

    def line(self) -> str:
        """Return e.g. ``segment_default: 12,000 of 100,000 told, 1,000/s, 88 s left``."""
        left = "time left unknown" if self.seconds_left is None else f"{self.seconds_left:,.0f} s left"
        return f"{self._label}: {self._done:,} of {self._planned:,} told, {self.rate:,.0f}/s, {left}"


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Fold what is logged meanwhile, by any thread, under ``title``."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")
