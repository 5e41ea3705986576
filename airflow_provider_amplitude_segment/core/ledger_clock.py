"""The ledger's clock: whether the workers that wrote it and this one agree on the time (ADR 0019)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import duration, is_ahead, seconds_ahead, timestamp
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.stream import Stream

log = logging.getLogger(__name__)


def warn_of_clocks(newest: Mapping[Stream, Plan | Commit | None], now: float) -> None:
    """Warn of each ledger whose newest entry is dated ahead of this worker's clock, by more than clocks may differ.

    Which of the two clocks is wrong is not known here, so both are named. The next entry carries this worker's time.

    Args:
        newest: the newest entry of each stream's ledger.
        now: seconds since 1970, by this worker's clock.
    """
    for stream, entry in newest.items():
        if entry is None or not is_ahead(entry.timestamp, now):
            continue
        log.warning(
            "Segment connection %r: the ledger is %s ahead of this worker's clock: its newest entry, number %d, is of "
            "%s, and it is %s here. The clock of the worker that wrote it was ahead, or this worker's clock is behind. "
            "This sync uses the clock of this worker, and Segment corrects each clock by the time of sending. %s",
            stream.destination.segment_conn_id,
            duration(seconds_ahead(entry.timestamp, now)),
            entry.generation,
            entry.timestamp,
            timestamp(now),
            CHECK_CLOCKS,
        )
