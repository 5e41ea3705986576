"""The run record: what one run remembers of its export over its tries and its deferral.

``<app id>/<cohort id>/runs/<run key>.json``. Written as soon as Amplitude gave the request an ID, so that a second
export is not spent, and forgotten when the run has ended: clearing a task that had finished is a new sync.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS, duration, timestamp
from airflow_provider_amplitude_segment.core.export.exporter import check_exports_left
from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.object_names import run_file
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import decode_entry, encode_entry
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS, StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.export.exporter import CohortExporter
    from airflow_provider_amplitude_segment.core.ledger.entry import Plan
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store, Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings


log = logging.getLogger(__name__)

FILE_SECONDS = 7 * 24 * 3600 - 3600
"""Amplitude keeps an export's file for seven days (amplitude-api.md 1.6); an hour is left for the download."""


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """One run's export, and how far it was told.

    Attributes:
        export_request_id: Amplitude's ID of the request.
        requested_at: seconds since 1970.
        generations: by ledger folder, the claim under which the export was requested.
        finished: by ledger folder, the report of a destination that has it committed.
        counts: what it cost and its file came to, by the report's names; what is not known yet is missing.
        user_properties: names of those that were exported along, sorted.
    """

    export_request_id: str
    requested_at: float
    generations: Mapping[str, int]
    finished: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    user_properties: tuple[str, ...] = ()

    def is_usable(self, unfinished: Mapping[str, Plan | Commit | None], now: float) -> bool:
        """Tell whether this export may still be told: an older export is never told after a newer one.

        Args:
            unfinished: by ledger folder, the newest entry of each destination that is not finished.
            now: seconds since 1970.
        """
        if now - self.requested_at > FILE_SECONDS:
            return False
        return not any(
            newest is not None
            and newest.export_request_id != self.export_request_id
            and newest.generation > self.generations.get(folder, 0)
            for folder, newest in unfinished.items()
        )


def read_checkpoint(store: Store, stream: Stream, run: Run) -> RunCheckpoint | None:
    """Return the run's record; ``None`` where there is none, or only what a dying writer left."""
    entry = decode_entry(store.get(_name(stream, run))) or {}
    try:
        requested_at = float(entry["requested_at"])
        timestamp(requested_at)  # raises where it is no time
        return RunCheckpoint(
            str(entry["export_request_id"]),
            requested_at,
            {str(folder): int(n) for folder, n in entry["generations"].items()},
            dict(entry["finished"]),
            dict(entry["counts"]),
            # Not there where an earlier version wrote it.
            tuple(map(str, entry.get("user_properties", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None


def write_checkpoint(store: Store, stream: Stream, run: Run, record: RunCheckpoint) -> None:
    """Remember the run's export."""
    entry = {
        "run": run.label,
        "export_request_id": record.export_request_id,
        "requested_at": record.requested_at,
        "generations": dict(record.generations),
        "finished": dict(record.finished),
        "counts": dict(record.counts),
        "user_properties": list(record.user_properties),
    }
    store.put(_name(stream, run), encode_entry(entry))


def delete_checkpoint(store: Store, stream: Stream, run: Run) -> None:
    """Let the run's next sync, if it is cleared, begin with an export of its own."""
    store.delete(_name(stream, run))


def delete_checkpoint_best_effort(store: Store, stream: Stream, run: Run) -> None:
    """Forget the run; an error that is on its way matters more than whether that can be written."""
    try:
        delete_checkpoint(store, stream, run)
    except StatePathError as error:
        log.warning("The run's export could not be forgotten, and will be used again: %s", error)


def _name(stream: Stream, run: Run) -> str:
    return f"{stream.cohort_folder}/{run_file(run.key)}"


def reuse_or_request_export(  # who asks, whom, and what is known
    store: Store,
    run: Run,
    order: CohortExporter,
    newest: Mapping[Stream, Plan | Commit | None],
    held_claims: HeldClaims,
    settings: SyncSettings,
    clock: Clock,
) -> RunCheckpoint:
    """Return the record of the run's export, requesting one where it has none that may be told.

    Args:
        store: where the record is.
        run: whose export.
        order: requests one.
        newest: the newest entry of each stream's ledger.
        held_claims: the claims under which a new export is requested.
        settings: how many exports must be left, and which user properties go along.
        clock: time.

    Raises:
        ClaimLostError: a stream was taken over; no export was spent.
        FewExportsLeftError: too few are left this month; no export was spent.
    """
    stream = next(iter(newest))
    record = read_checkpoint(store, stream, run)
    # One without an export is a retirement's.
    if record is not None and record.export_request_id:
        record = _with_own_commits(record, run, newest)
        if record.requested_at - clock.now() > CLOCK_TOLERANCE_SECONDS:
            record = _requested_now(record, clock.now())
            held_claims.verify_all()
            write_checkpoint(store, stream, run, record)
        unfinished = {s.folder: entry for s, entry in newest.items() if s.folder not in record.finished}
        # Cleared with other parameters, the run needs other columns than its file has.
        fits = record.user_properties == settings.user_properties
        if fits and record.is_usable(unfinished, clock.now()):
            log.info("Going on with export %s of this run", record.export_request_id)
            return record
    counts = {}
    if settings.min_exports_left:
        counts["exports_left"] = check_exports_left(
            order.amplitude.usage(),
            min_exports_left=settings.min_exports_left,
            run_configuration=settings.run_configuration,
        )
    # An owner that was paused here spends nothing, and takes no export away from its own retry.
    held_claims.verify_all()
    request_id = order.request(stream.cohort_id, settings.user_properties)
    record = RunCheckpoint(
        request_id,
        clock.now(),
        {s.folder: held_claims.generation(s) for s in newest},
        counts=counts,
        user_properties=settings.user_properties,
    )
    write_checkpoint(store, stream, run, record)
    log.info("Requested export %s of cohort %s", request_id, stream.cohort_id)
    return record


def _requested_now(record: RunCheckpoint, now: float) -> RunCheckpoint:
    """Count an export's age from now on, where a bad clock dated its request in the future.

    Else it would never be too old to be used.
    """
    log.warning(
        "Export %s of this run was requested %s ahead of this worker's clock by the clock of the worker that requested "
        "it. Its age counts from now on. %s",
        record.export_request_id,
        duration(record.requested_at - now),
        CHECK_CLOCKS,
    )
    return replace(record, requested_at=now)


def _with_own_commits(record: RunCheckpoint, run: Run, newest: Mapping[Stream, Plan | Commit | None]) -> RunCheckpoint:
    """Count as finished what this run has committed, although it died before it noted that."""
    finished = {
        stream.folder: entry.report
        for stream, entry in newest.items()
        if isinstance(entry, Commit)
        and entry.run_key == run.key
        and entry.export_request_id == record.export_request_id
    }
    return replace(record, finished={**record.finished, **finished})
