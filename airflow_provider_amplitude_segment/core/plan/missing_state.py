"""Find missing state: a record of an earlier sync that the ledger does not have.

There are three records: the generation that each sync leaves in an XCom; ``current.json``, the ledger's hint; and the
ledger of another write key of the same connection (design 4, rule 9). Missing state must not pass for a first sync,
because that never sends ``false`` to users who exited meanwhile.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import is_ahead
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger, newest_readable
from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver, read_folder
from airflow_provider_amplitude_segment.core.ledger.object_names import is_destination_folder
from airflow_provider_amplitude_segment.core.ledger.stream import fingerprint
from airflow_provider_amplitude_segment.exceptions import ChangedKeyError, MissingStateError, StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


def check_state(
    store: Store,
    newest: Mapping[Stream, Plan | Commit | None],
    recorded: Mapping[str, int],
    settings: SyncSettings,
    now: float,
) -> frozenset[Stream]:
    """Return the streams whose state is missing and that are sent in full.

    Args:
        store: where the ledgers are.
        newest: the newest entry of each stream's ledger.
        recorded: by the destination's name, the generation that Airflow recorded, if any.
        settings: with ``on_missing_state``; a dry run is only warned.
        now: seconds since 1970.

    Raises:
        MissingStateError: the ledger is empty, or older than the record.
        ChangedKeyError: the same connection synced this cohort to a destination of another name.
    """
    missing = set()
    for stream, entry in newest.items():
        error = _find_missing(store, stream, entry, recorded.get(stream.destination.name, 0), settings)
        if error is None and entry is None and settings.on_missing_state != "full":
            error = _find_changed_key(store, stream, settings, now)
        if error is None:
            continue
        if settings.on_missing_state == "fail" and not settings.dry_run:
            raise error
        if settings.on_missing_state == "full":
            log.warning("%s Everything is sent in full, because on_missing_state is 'full'.", error.finding)
            missing.add(stream)
        else:
            log.warning("A sync would be refused: %s", error.finding)
    return frozenset(missing)


def _find_missing(
    store: Store, stream: Stream, entry: Plan | Commit | None, recorded: int, settings: SyncSettings
) -> MissingStateError | ChangedKeyError | None:
    destination = stream.destination
    found = entry.delivered_generation if entry else 0
    expected = max(recorded, Ledger(store, stream.folder).head())
    if expected > found:
        return MissingStateError(
            destination.segment_conn_id, store.locate(stream.folder), found, expected, settings.run_configuration
        )
    return None


def _find_changed_key(store: Store, stream: Stream, settings: SyncSettings, now: float) -> ChangedKeyError | None:
    destination = stream.destination
    earlier = _earlier_destination(store, stream, now)
    if earlier is None:
        return None
    routing = f"~{fingerprint(dict(settings.integrations))}" if settings.integrations else ""
    own, other = (name.removesuffix(routing) for name in (destination.name, earlier))
    return ChangedKeyError(destination.segment_conn_id, own, other, settings.run_configuration)


def _earlier_destination(store: Store, stream: Stream, now: float) -> str | None:
    """Return the other destination that this connection synced the cohort to last; ``None`` if there is none.

    An entry whose date is in the future, because of a wrong clock, counts as the oldest.
    """
    own = stream.destination
    found = []
    for folder in store.names(stream.cohort_folder):
        if folder == own.folder or folder.partition("~")[2] != own.folder.partition("~")[2]:
            continue
        entry = _newest_of_neighbor(store, stream.cohort_folder, folder)
        if entry is not None and entry.segment_conn_id == own.segment_conn_id:
            found.append((not is_ahead(entry.timestamp, now), entry.timestamp, entry.destination))
    return max(found)[2] if found else None


def _newest_of_neighbor(store: Store, cohort_folder: str, name: str) -> Plan | Commit | None:
    """Return the newest entry of a neighboring ledger; ``None`` if it is no ledger, or this user may not read it."""
    folder = f"{cohort_folder}/{name}"
    if not is_destination_folder(name):
        return None
    found = read_folder(store, folder)
    closed = found.passed_over
    if found.names:
        try:
            return newest_readable(Ledger(store, folder))
        except StatePathError as error:
            closed = PassedOver(store.locate(folder), error)
    if closed is not None and closed.error.retryable:
        raise closed.error
    if closed is not None:
        log.warning("%s Until then it is unknown whether this connection synced the cohort there before.", closed)
    return None
