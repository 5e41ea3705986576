"""Streams found in a state path by their folders, for whoever has no cohort of Amplitude's list to go by."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.entry import Commit
from airflow_provider_amplitude_segment.core.ledger import Ledger
from airflow_provider_amplitude_segment.core.lost_state import newest_readable
from airflow_provider_amplitude_segment.core.stream import Destination, Stream, folder_name
from airflow_provider_amplitude_segment.exceptions import LedgerError, LedgerNotFoundError, SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.stream import Store

log = logging.getLogger(__name__)

_RUNS = "runs"
_ENTRY = re.compile(r"(?:plan|commit)-\d+\.json")


@dataclass(frozen=True, slots=True)
class CohortFolderStream(Stream):
    """A stream whose cohort is known by its folders, which may be hashes, and whose destination by its connection."""

    @property
    def cohort_folder(self) -> str:
        """``<app id>/<cohort id>``."""
        return f"{self.app_id}/{self.cohort_id}"


@dataclass(frozen=True, slots=True)
class FoundStream(CohortFolderStream):
    """A stream whose three names are those of its folders, which may be hashes of what they were made from."""

    @property
    def folder(self) -> str:
        """``<app id>/<cohort id>/<destination>``."""
        return f"{self.cohort_folder}/{self.destination.name}"


def find_streams(store: Store) -> list[FoundStream]:
    """Return all streams of a state path, in the order of their folders, also those that were never told anything."""
    found = []
    for app in sorted(store.names("")):
        for cohort in sorted(store.names(app)):
            for name in sorted(store.names(f"{app}/{cohort}")):
                stream = FoundStream(app, cohort, Destination(name, name))
                if name != _RUNS and store.names(stream.folder):
                    found.append(stream)
    return found


def find_cohort_streams(
    store: Store, cohort_id: str, destinations: Sequence[Destination], app_id: str | None = None
) -> list[Stream]:
    """Return a cohort's streams at some destinations, found without Amplitude.

    Args:
        store: where the ledgers are.
        cohort_id: Amplitude's ID, of a cohort that Amplitude need not know any more.
        destinations: where it was told.
        app_id: the Amplitude project's number, or its folder, where several have a ledger of the cohort.

    Raises:
        LedgerNotFoundError: the cohort has no ledger, or none at one of the destinations.
        SettingError: several projects have a ledger of it, and ``app_id`` names none.
    """
    cohort = folder_name(cohort_id)
    apps = [app for app in sorted(store.names("")) if _ledgers(store, f"{app}/{cohort}")]
    asked = [app for app in apps if app_id is None or app in {app_id, folder_name(app_id)}]
    if not asked:
        others = apps or sorted({name for app in store.names("") for name in store.names(app)})
        raise LedgerNotFoundError(
            cohort_id, f"in {store.locate('').rstrip('/')}", "Amplitude app" if apps else "cohort", others
        )
    if len(asked) > 1:
        problem = f"got none, and cohort {cohort_id} has ledgers of several Amplitude projects"
        raise SettingError("app_id", problem, " or ".join(asked))
    streams: list[Stream] = [CohortFolderStream(asked[0], cohort, destination) for destination in destinations]
    there = _ledgers(store, streams[0].cohort_folder)
    for stream in streams:
        if stream.destination.folder not in there:
            raise LedgerNotFoundError(
                cohort_id,
                f"for Segment connection {stream.destination.segment_conn_id!r} (destination "
                f"{stream.destination.name!r}) in {store.locate(stream.cohort_folder)}",
                "destination",
                [_labelled(store, stream.cohort_folder, name) for name in there],
            )
    return streams


def told_elsewhere(store: Store, streams: Sequence[Stream]) -> list[str]:
    """Return the destinations, with their connections, beside ``streams`` where the cohort was told and not retired."""
    folder = streams[0].cohort_folder
    own = {stream.destination.folder for stream in streams}
    found = []
    for name in _ledgers(store, folder):
        entry = None
        try:
            entry = None if name in own else newest_readable(Ledger(store, f"{folder}/{name}"))
        except LedgerError:
            log.warning("%s cannot be read", store.locate(f"{folder}/{name}"))
        if entry is not None and not (isinstance(entry, Commit) and entry.report.get("mode") == "retire"):
            found.append(f"{name} (connection {entry.segment_conn_id!r})")
    return found


def _ledgers(store: Store, cohort_folder: str) -> list[str]:
    """Return the folders where something was told; a dry run leaves one where nothing was."""
    return sorted(
        name
        for name in store.names(cohort_folder)
        if name != _RUNS and any(map(_ENTRY.fullmatch, store.names(f"{cohort_folder}/{name}")))
    )


def _labelled(store: Store, cohort_folder: str, name: str) -> str:
    try:
        entry = newest_readable(Ledger(store, f"{cohort_folder}/{name}"))
    except LedgerError:
        entry = None
    return name if entry is None else f"{name} (connection {entry.segment_conn_id!r})"
