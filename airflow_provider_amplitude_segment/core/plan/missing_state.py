"""Lost state: somebody remembers an earlier sync that the ledger knows nothing of.

Three remember: Airflow, by the generation that each sync leaves in an XCom; ``current.json``, the ledger's own hint;
and the ledger beside this one, where a changed write key left what the same connection told before (design 4, rule 9).
A sync that took lost state for a first one would never tell ``false`` to whoever left meanwhile.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import is_ahead
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger, newest_readable
from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver, read_folder
from airflow_provider_amplitude_segment.core.ledger.object_names import is_destination_folder
from airflow_provider_amplitude_segment.core.ledger.stream import fingerprint
from airflow_provider_amplitude_segment.exceptions import (
    ChangedKeyError,
    MissingStateError,
    StatePathError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


def check_state(
    store: Store,
    newest: Mapping[Stream, Plan | Commit | None],
    remembered: Mapping[str, int],
    settings: SyncSettings,
    now: float,
) -> frozenset[Stream]:
    """Return the streams whose state was lost and which are told in full.

    Args:
        store: where the ledgers are.
        newest: the newest entry of each stream's ledger.
        remembered: by the destination's name, the generation that Airflow remembers; nothing where it remembers none.
        settings: ``on_missing_state`` decides; a dry run is only warned.
        now: seconds since 1970.

    Raises:
        MissingStateError: the ledger is missing, or older than what is remembered.
        ChangedKeyError: the same connection has told this cohort to a destination of another name.
    """
    missing = set()
    for stream, entry in newest.items():
        error = _find_loss(store, stream, entry, remembered.get(stream.destination.name, 0), settings)
        if error is None and entry is None and settings.on_missing_state != "full":
            error = _find_changed_key(store, stream, settings, now)
        if error is None:
            continue
        if settings.on_missing_state == "fail" and not settings.dry_run:
            raise error
        if settings.on_missing_state == "full":
            log.warning("%s Told in full, as on_missing_state='full' says.", error.finding)
            missing.add(stream)
        else:
            log.warning("A sync would be refused: %s", error.finding)
    return frozenset(missing)


def _find_loss(
    store: Store, stream: Stream, entry: Plan | Commit | None, remembered: int, settings: SyncSettings
) -> MissingStateError | ChangedKeyError | None:
    destination = stream.destination
    found = entry.delivered_generation if entry else 0
    expected = max(remembered, Ledger(store, stream.folder).head())
    if expected > found:
        return MissingStateError(
            destination.segment_conn_id, store.locate(stream.folder), found, expected, settings.run_configuration
        )
    return None


def _find_changed_key(store: Store, stream: Stream, settings: SyncSettings, now: float) -> ChangedKeyError | None:
    destination = stream.destination
    earlier = _told_before(store, stream, now)
    if earlier is None:
        return None
    routing = f"~{fingerprint(dict(settings.integrations))}" if settings.integrations else ""
    own, other = (name.removesuffix(routing) for name in (destination.name, earlier))
    return ChangedKeyError(destination.segment_conn_id, own, other, settings.run_configuration)


def _told_before(store: Store, stream: Stream, now: float) -> str | None:
    """Return the destination that this connection told the cohort to most lately, if it is another one.

    One that a bad clock dated in the future comes after all that are dated as they can be.
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
    """Return the newest entry of a ledger beside; ``None`` where it is no ledger, or is closed to this user."""
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
        log.warning("%s Until then it is not known whether this connection synced the cohort there before.", closed)
    return None
