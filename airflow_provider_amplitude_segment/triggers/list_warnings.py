"""Warn once of what keeps a watched cohort from making events, and not at each poll."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_amplitude_segment.core.export.cohort_change import ListComparison

log = logging.getLogger(__name__)

_MOST_NAMED = 10


class ListWarnings:
    """What one watcher has warned of. It warns again of a cohort that was well in between.

    :param amplitude_conn_id: the connection's ID
    """

    def __init__(self, amplitude_conn_id: str) -> None:
        self._conn_id = amplitude_conn_id
        self._missing: frozenset[str] = frozenset()
        self._ahead: frozenset[str] = frozenset()

    def warn(self, comparison: ListComparison) -> None:
        """Warn of watched cohorts that are newly missing, and of those newly computed ahead of the clock."""
        if new := comparison.missing - self._missing:
            log.warning(
                "Connection %r: Amplitude does not list the watched cohorts %s. They make no asset event until it "
                "does. Check the IDs in cohort_ids, that the cohorts are discoverable, and that the connection is of "
                "their project and region.",
                self._conn_id,
                _named(new),
            )
        if new := comparison.ahead - self._ahead:
            log.warning(
                "Connection %r: by Amplitude's list, the cohorts %s were computed later than this machine's clock "
                "says it is now. These times are ignored: until they are past, the cohorts make no asset event of a "
                "computation, only of another size or name and of archiving. Check the clock of the triggerer.",
                self._conn_id,
                _named(new),
            )
        self._missing, self._ahead = comparison.missing, comparison.ahead


def _named(cohort_ids: Collection[str]) -> str:
    first = ", ".join(sorted(cohort_ids)[:_MOST_NAMED])
    more = len(cohort_ids) - _MOST_NAMED
    return f"{first} and {more:,} more" if more > 0 else first
