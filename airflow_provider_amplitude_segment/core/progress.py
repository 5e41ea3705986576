"""Progress in the log: a line each few seconds with done, planned, rate and time left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.clock import Clock

log = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """How far the telling of one destination is."""

    def __init__(self, label: str, *, done: int, planned: int, clock: Clock) -> None:
        """Begin with ``done`` of ``planned`` changes settled by earlier tries."""
        self._label = label
        self._planned = planned
        self._clock = clock
        self._done = self._done_at_start = done
        self._began = self._last_line = clock.monotonic()

    def add(self, settled: int) -> None:
        """Count settled changes."""
        self._done += settled

    def speak_if_due(self) -> None:
        """Write a line where it is time for one, also while nothing is settled."""
        if self._clock.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = self._clock.monotonic()
            log.info("%s", self.line())

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock.monotonic() - self._began

    def line(self) -> str:
        """Return e.g. ``segment_default: 12,000 of 100,000 told, 1,000/s, 88 s left``."""
        rate = (self._done - self._done_at_start) / self.seconds if self.seconds > 0 else 0.0
        left = f"{(self._planned - self._done) / rate:,.0f} s left" if rate else "time left unknown"
        return f"{self._label}: {self._done:,} of {self._planned:,} told, {rate:,.0f}/s, {left}"
