"""Streams found by their folders in a state path, for work that does not ask Amplitude.

A state path may be shared: folders of other programs are left out, and folders that cannot be read are passed over and
named (``core.ledger.ledger_folder``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger, newest_readable
from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver, read_folder, warn
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    folder_name,
    is_destination_folder,
    is_folder,
    objects_of,
)
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
from airflow_provider_amplitude_segment.exceptions import LedgerError, LedgerNotFoundError, SettingError, StatePathError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassOver
    from airflow_provider_amplitude_segment.core.ledger.stream import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CohortFolderStream(Stream):
    """A stream with a destination of a connection, and with folder names for app and cohort, which may be hashes."""

    @property
    def cohort_folder(self) -> str:
        """``<app id>/<cohort id>``."""
        return f"{self.app_id}/{self.cohort_id}"


@dataclass(frozen=True, slots=True)
class FoundStream(CohortFolderStream):
    """A stream with folder names for app, cohort and destination, which may be hashes."""

    @property
    def folder(self) -> str:
        """``<app id>/<cohort id>/<destination>``."""
        return f"{self.cohort_folder}/{self.destination.name}"


def find_streams(store: Store, pass_over: PassOver = warn) -> list[FoundStream]:
    """Return all streams of a state path, in the order of their folders, also those without a delivery.

    Args:
        store: where the ledgers are.
        pass_over: called with each folder that cannot be read, and with each ledger whose entries cannot.

    Raises:
        StatePathError: the root itself cannot be read.
    """
    found = []
    for app, cohorts in _apps(store, pass_over):
        for cohort in cohorts:
            for name in _names(store, f"{app}/{cohort}", pass_over):
                stream = FoundStream(app, cohort, Destination(name, name))
                if is_destination_folder(name) and _is_ledger(store, stream.folder, pass_over):
                    found.append(stream)
    return found


def find_stream(store: Store, folder: str, pass_over: PassOver = warn) -> FoundStream | None:
    """Return the stream of a folder ``<app id>/<cohort id>/<destination>``; ``None`` where it is no ledger."""
    names = folder.strip("/").split("/")
    fits = (is_folder, is_folder, is_destination_folder)
    if len(names) != len(fits) or not all(fit(name) for fit, name in zip(fits, names, strict=True)):
        return None
    app, cohort, name = names
    stream = FoundStream(app, cohort, Destination(name, name))
    return stream if _is_ledger(store, stream.folder, pass_over) else None


def find_streams_of_cohort(
    store: Store, cohort_id: str, app_id: str | None = None, pass_over: PassOver = warn
) -> list[FoundStream]:
    """Return all streams of a cohort, in the order of their folders, also those without a delivery.

    Args:
        store: where the ledgers are.
        cohort_id: Amplitude's ID; the cohort may be deleted there.
        app_id: the Amplitude project's number, or its folder; ``None``: of all projects.
        pass_over: as in ``find_streams``.

    Raises:
        LedgerNotFoundError: the cohort has no ledger.
        StatePathError: the root itself cannot be read.
    """
    cohort, others = folder_name(cohort_id), set()
    found = []
    for app, cohorts in _apps(store, pass_over):
        others.update(cohorts)
        if cohort not in cohorts or (app_id is not None and app not in {app_id, folder_name(app_id)}):
            continue
        for name in _names(store, f"{app}/{cohort}", pass_over):
            stream = FoundStream(app, cohort, Destination(name, name))
            if is_destination_folder(name) and _is_ledger(store, stream.folder, pass_over):
                found.append(stream)
    if not found:
        raise LedgerNotFoundError(cohort_id, f"in {store.locate('').rstrip('/')}", "cohort", sorted(others - {cohort}))
    return found


def find_cohort_streams(
    store: Store, cohort_id: str, destinations: Sequence[Destination], app_id: str | None = None
) -> list[Stream]:
    """Return a cohort's streams at some destinations, without a request to Amplitude.

    Args:
        store: where the ledgers are.
        cohort_id: Amplitude's ID; the cohort may be deleted there.
        destinations: where it was synced.
        app_id: the Amplitude project's number, or its folder; needed where several have a ledger of the cohort.

    Raises:
        LedgerNotFoundError: the cohort has no ledger, or none at one of the destinations.
        SettingError: several projects have a ledger of it, and ``app_id`` is not given.
    """
    cohort = folder_name(cohort_id)
    apps = [
        app for app, cohorts in _apps(store, warn) if cohort in cohorts and _ledgers(store, f"{app}/{cohort}", warn)
    ]
    asked = [app for app in apps if app_id is None or app in {app_id, folder_name(app_id)}]
    if not asked:
        others = apps or sorted({stream.cohort_id for stream in find_streams(store, lambda _: None)})
        raise LedgerNotFoundError(
            cohort_id, f"in {store.locate('').rstrip('/')}", "Amplitude app" if apps else "cohort", others
        )
    if len(asked) > 1:
        problem = f"got none, and cohort {cohort_id} has ledgers of several Amplitude projects"
        raise SettingError("app_id", problem, " or ".join(asked))
    streams: list[Stream] = [CohortFolderStream(asked[0], cohort, destination) for destination in destinations]
    ledgers = _ledgers(store, streams[0].cohort_folder, lambda _: None)
    for stream in streams:
        if stream.destination.folder not in ledgers:
            raise LedgerNotFoundError(
                cohort_id,
                f"for Segment connection {stream.destination.segment_conn_id!r} (destination "
                f"{stream.destination.name!r}) in {store.locate(stream.cohort_folder)}",
                "destination",
                [_labelled(store, stream.cohort_folder, name) for name in ledgers],
            )
    return streams


def other_destinations(store: Store, streams: Sequence[Stream]) -> list[str]:
    """Return the destinations, with their connections, that hold the cohort's trait besides those of ``streams``."""
    folder = streams[0].cohort_folder
    own = {stream.destination.folder for stream in streams}
    found = []
    for name in _ledgers(store, folder, lambda passed: log.warning("%s", passed)):
        entry = None
        try:
            entry = None if name in own else newest_readable(Ledger(store, f"{folder}/{name}"))
        except LedgerError:
            log.warning("%s cannot be read", store.locate(f"{folder}/{name}"))
        if entry is not None and not (isinstance(entry, Commit) and entry.report.get("mode") == "retire"):
            found.append(f"{name} (connection {entry.segment_conn_id!r})")
    return found


def _apps(store: Store, pass_over: PassOver) -> Iterator[tuple[str, list[str]]]:
    """Yield the folders that can be an app's, each with the names in it that can be a cohort's.

    Every folder directly below the root is listed, also one of another name, so that each that cannot be read is named.
    A name with a suffix is a file's, such as the mark's, and an object store would list the whole root again for it.
    """
    for app in sorted(store.names("")):
        if "." in app.lstrip("."):
            continue
        cohorts = _names(store, app, pass_over, may_be_ledger=is_folder(app))
        if is_folder(app):
            yield app, [cohort for cohort in cohorts if is_folder(cohort)]


def _names(store: Store, folder: str, pass_over: PassOver, *, may_be_ledger: bool = True) -> list[str]:
    try:
        return sorted(store.names(folder))
    except StatePathError as error:
        pass_over(PassedOver(store.locate(folder), error, may_be_ledger))
        return []


def _is_ledger(store: Store, folder: str, pass_over: PassOver) -> bool:
    found = read_folder(store, folder)
    if found.passed_over is not None:
        pass_over(found.passed_over)
    return found.is_ledger


def _ledgers(store: Store, cohort_folder: str, pass_over: PassOver) -> list[str]:
    """Return the ledgers with a plan or a commit; a dry run leaves a folder with neither.

    A damaged ledger is among them, because the error of reading it names the damage.
    """
    ledgers = []
    for name in filter(is_destination_folder, _names(store, cohort_folder, pass_over)):
        found = read_folder(store, f"{cohort_folder}/{name}")
        if objects_of(found.names, "plan", "commit"):
            ledgers.append(name)
        elif found.passed_over is not None:
            pass_over(found.passed_over)
    return ledgers


def _labelled(store: Store, cohort_folder: str, name: str) -> str:
    try:
        entry = newest_readable(Ledger(store, f"{cohort_folder}/{name}"))
    except LedgerError:
        entry = None
    return name if entry is None else f"{name} (connection {entry.segment_conn_id!r})"
