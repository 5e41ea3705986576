"""What a watcher has seen, kept in Airflow's store for assets where there is one (3.3 and later)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.export.cohort_change import seen_from_json, seen_to_json
from airflow_provider_amplitude_segment.triggers.list_warnings import ListWarnings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_amplitude_segment.core.export.cohort_change import SeenCohort

log = logging.getLogger(__name__)

# When a triggerer stops, its channel to Airflow ends first, and a call waits for ever.
_CALL_WITHIN_SECONDS = 10.0


class WatcherState:
    """What one watcher has seen, in memory and in the stores of its assets, and what it has warned of, in memory.

    :param stores: Airflow's ``AssetStateStoreAccessors``; ``None`` where Airflow has none: then a restart forgets
    :param amplitude_conn_id: the connection's ID
    :param cohort_ids: the cohorts watched; ``None`` for all
    """

    def __init__(self, stores: Any, amplitude_conn_id: str, cohort_ids: Iterable[str] | None) -> None:
        self._stores = _accessors(stores)
        self._key = _key(amplitude_conn_id, cohort_ids)
        self._stored: Mapping[str, SeenCohort] = {}
        self._is_loaded = not self._stores
        self._is_failure_logged = False
        self.seen: dict[str, SeenCohort] = {}
        self.warnings = ListWarnings(amplitude_conn_id)

    async def load(self) -> bool:
        """Read the store, once. Return whether ``seen`` can be relied on.

        A store that cannot be read is not an empty one, which would make the next list the first look.
        """
        if self._is_loaded:
            return True
        try:
            values = [await asyncio.wait_for(store.aget(self._key), _CALL_WITHIN_SECONDS) for store in self._stores]
        except Exception as error:  # noqa: BLE001 - a watcher that ends watches no more
            self._log_failure("read", error)
            return False
        self.seen = next((seen for value in values if (seen := seen_from_json(value))), {})
        self._stored = dict(self.seen)
        self._is_loaded, self._is_failure_logged = True, False
        return True

    async def save(self, seen: Mapping[str, SeenCohort]) -> None:
        """Store what was seen, if that is not what is stored. A failure is logged; the next save stores it too."""
        if not self._stores or seen == self._stored:
            return
        value = seen_to_json(seen)
        try:
            for store in self._stores:
                await asyncio.wait_for(store.aset(self._key, value), _CALL_WITHIN_SECONDS)
        except Exception as error:  # noqa: BLE001 - a watcher that ends watches no more
            self._log_failure("written", error)
            return
        self._stored = dict(seen)
        self._is_failure_logged = False

    def _log_failure(self, done: str, error: Exception) -> None:
        if not self._is_failure_logged:
            self._is_failure_logged = True
            log.warning(
                "The state of a watcher of cohorts could not be %s (%s). It is tried again at the next poll. A restart "
                "of the triggerer before that may repeat the events since then.",
                done,
                type(error).__name__,
            )


def _accessors(stores: Any) -> list[Any]:
    """Return a store for each asset of the trigger.

    Airflow makes one trigger of equal watchers of several assets, and gives it a store for each asset. The public
    methods take only one asset, or an asset's name, which a trigger does not know.
    """
    return [store for by in ("_by_name", "_by_uri") for _, store in sorted(getattr(stores, by, {}).items())]


def _key(amplitude_conn_id: str, cohort_ids: Iterable[str] | None) -> str:
    """Return the key; two watchers of one asset that watch other cohorts have keys of their own."""
    watched = json.dumps([amplitude_conn_id, None if cohort_ids is None else sorted(set(cohort_ids))])
    return f"amplitude_cohort_list:{hashlib.sha256(watched.encode()).hexdigest()[:16]}"
