"""The run checkpoint: what one run keeps of its export over its tries and its deferral.

``<app id>/<cohort id>/runs/<run key>.json``. It is written as soon as Amplitude returns the request's ID, so that a
retry spends no second export. It is deleted when the run ends, so that a cleared task syncs from a new export.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS, duration, timestamp
from airflow_provider_amplitude_segment.core.export.approval import read_approval
from airflow_provider_amplitude_segment.core.export.exporter import check_exports_left
from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.object_names import run_file
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import decode_entry, encode_entry
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS, StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.export.approval import Approval
    from airflow_provider_amplitude_segment.core.export.exporter import CohortExporter
    from airflow_provider_amplitude_segment.core.ledger.entry import Plan
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store, Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings


log = logging.getLogger(__name__)

ExportSource = Literal["api", "files"]
"""Where a cohort's members come from: an export of the API, or Amplitude's cohort files."""

FILE_SECONDS = 7 * 24 * 3600 - 3600
"""Amplitude keeps an export's file for seven days; an hour of them is left for the download."""


@dataclass(frozen=True, slots=True)
class RunCheckpoint:
    """One run's export, and the destinations that have committed it.

    Attributes:
        export_request_id: Amplitude's ID of the request, or the ID of a set of cohort files.
        requested_at: seconds since 1970.
        generations: by ledger folder, the claim under which the export was requested.
        finished: by ledger folder, the report of a destination that has committed it.
        counts: exports left and the counts of its file, by the report's names; an unknown count is missing. Of a set of
            cohort files also ``cohort_size``, as listed when the set was chosen: what it is compared with.
        user_properties: names of the user properties in the export, sorted.
        approval: a person's, to send this export although a guard stopped it; ``None`` where there is none.
        export_source: ``api`` or ``files``.
        exported_epoch: when a set of cohort files was written, in seconds since 1970; 0 for an export of the API.
    """

    export_request_id: str
    requested_at: float
    generations: Mapping[str, int]
    finished: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    user_properties: tuple[str, ...] = ()
    approval: Approval | None = None
    export_source: ExportSource = "api"
    exported_epoch: float = 0.0

    @property
    def exported_at(self) -> float:
        """When the membership was exported, in seconds since 1970: an export is computed after its request."""
        return self.exported_epoch or self.requested_at

    @property
    def sendable_until(self) -> float:
        """When the export's file ends, in seconds since 1970; 0 for cohort files, which have no end of their own."""
        return self.requested_at + FILE_SECONDS if self.export_source == "api" else 0.0

    def is_usable(self, unfinished: Mapping[str, Plan | Commit | None], now: float) -> bool:
        """Return whether this export may still be delivered: never after a newer one, and never after its file's time.

        Args:
            unfinished: by ledger folder, the newest entry of each destination that has not committed it.
            now: seconds since 1970.
        """
        if now > self.requested_at + FILE_SECONDS:
            return False
        return not any(
            newest is not None
            and newest.export_request_id != self.export_request_id
            and newest.generation > self.generations.get(folder, 0)
            for folder, newest in unfinished.items()
        )


def read_checkpoint(store: Store, stream: Stream, run: Run) -> RunCheckpoint | None:
    """Return the run's checkpoint; ``None`` where it is missing or cannot be read."""
    entry = decode_entry(store.get(_name(stream, run))) or {}
    try:
        requested_at = float(entry["requested_at"])
        timestamp(requested_at)  # raises for a number that is not a time
        return RunCheckpoint(
            str(entry["export_request_id"]),
            requested_at,
            {str(folder): int(n) for folder, n in entry["generations"].items()},
            dict(entry["finished"]),
            dict(entry["counts"]),
            # Missing where an earlier version wrote it.
            tuple(map(str, entry.get("user_properties", ()))),
            read_approval(entry.get("approval")),
            "files" if entry.get("export_source") == "files" else "api",
            float(entry.get("exported_epoch", 0.0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None


def write_checkpoint(store: Store, stream: Stream, run: Run, checkpoint: RunCheckpoint) -> None:
    """Write the run's checkpoint over the one before."""
    entry = {
        "run": run.label,
        "export_request_id": checkpoint.export_request_id,
        "requested_at": checkpoint.requested_at,
        "generations": dict(checkpoint.generations),
        "finished": dict(checkpoint.finished),
        "counts": dict(checkpoint.counts),
        "user_properties": list(checkpoint.user_properties),
        "export_source": checkpoint.export_source,
        "exported_epoch": checkpoint.exported_epoch,
    }
    if checkpoint.approval is not None:
        entry["approval"] = checkpoint.approval.as_dict()
    store.put(_name(stream, run), encode_entry(entry))


def keep_approval(store: Store, stream: Stream, run: Run, approval: Approval) -> None:
    """Write an approval into the run's checkpoint, if that still has the export which was approved.

    It is called before the claims are held, so that a worker that is killed early loses no approval. Only this run
    writes its checkpoint.
    """
    checkpoint = read_checkpoint(store, stream, run)
    if checkpoint is not None and checkpoint.export_request_id == approval.export_request_id:
        write_checkpoint(store, stream, run, replace(checkpoint, approval=approval))
    else:
        log.warning(
            "The answer of %s is not kept, because this run no longer has export %s, which the question was about.",
            approval.approved_by,
            approval.export_request_id,
        )


def delete_checkpoint(store: Store, stream: Stream, run: Run) -> None:
    """Delete the run's checkpoint, so that a cleared run requests an export of its own."""
    store.delete(_name(stream, run))


def delete_checkpoint_best_effort(store: Store, stream: Stream, run: Run) -> None:
    """Delete the run's checkpoint; log a failure, because the error that ends the run matters more."""
    try:
        delete_checkpoint(store, stream, run)
    except StatePathError as error:
        log.warning("The run's checkpoint could not be deleted, so a cleared run reuses its export: %s", error.happened)


def _name(stream: Stream, run: Run) -> str:
    return f"{stream.cohort_folder}/{run_file(run.key)}"


def reuse_or_request_export(
    store: Store,
    exporter: CohortExporter,
    newest: Mapping[Stream, Plan | Commit | None],
    held_claims: HeldClaims,
    settings: SyncSettings,
) -> RunCheckpoint:
    """Return the checkpoint of the run's export; request an export where the run has none that may be delivered.

    Args:
        store: where the checkpoint is.
        exporter: requests an export; its clock dates the request.
        newest: the newest entry of each stream's ledger.
        held_claims: the claims under which a new export is requested, and the run that holds them.
        settings: how many exports must be left, and which user properties are exported.

    Raises:
        ClaimLostError: a stream was taken over; no export was spent.
        FewExportsLeftError: too few are left this month; no export was spent.
    """
    stream, run, clock = next(iter(newest)), held_claims.run, exporter.clock
    checkpoint = read_checkpoint(store, stream, run)
    # A retirement's checkpoint has no export.
    if checkpoint is not None and checkpoint.export_request_id and checkpoint.export_source == "api":
        checkpoint = with_own_commits(checkpoint, run, newest)
        if checkpoint.requested_at - clock.now() > CLOCK_TOLERANCE_SECONDS:
            checkpoint = _requested_now(checkpoint, clock.now())
            held_claims.verify_all()
            write_checkpoint(store, stream, run, checkpoint)
        unfinished = {s.folder: entry for s, entry in newest.items() if s.folder not in checkpoint.finished}
        # A run that is cleared with other parameters may need other columns than its file has.
        fits = checkpoint.user_properties == settings.user_properties
        if fits and checkpoint.is_usable(unfinished, clock.now()):
            log.info("This run reuses its export %s.", checkpoint.export_request_id)
            return checkpoint
    # An approval of the export before is kept, so that the guards' check can say that it does not hold.
    approval = None if checkpoint is None else checkpoint.approval
    checkpoint = replace(_request_export(exporter, newest, held_claims, settings), approval=approval)
    write_checkpoint(store, stream, run, checkpoint)
    log.info("Requested export %s of cohort %s.", checkpoint.export_request_id, stream.cohort_id)
    return checkpoint


def _request_export(
    exporter: CohortExporter,
    newest: Mapping[Stream, Plan | Commit | None],
    held_claims: HeldClaims,
    settings: SyncSettings,
) -> RunCheckpoint:
    counts = {}
    if settings.min_exports_left:
        counts["exports_left"] = check_exports_left(
            exporter.amplitude.usage(),
            min_exports_left=settings.min_exports_left,
            run_configuration=settings.run_configuration,
        )
    # An owner whose claim expired stops here, before it spends an export.
    held_claims.verify_all()
    return RunCheckpoint(
        exporter.request(next(iter(newest)).cohort_id, settings.user_properties),
        exporter.clock.now(),
        {stream.folder: held_claims.generation(stream) for stream in newest},
        counts=counts,
        user_properties=settings.user_properties,
    )


def _requested_now(checkpoint: RunCheckpoint, now: float) -> RunCheckpoint:
    """Count an export's age from now on, because a clock that is ahead dated its request in the future.

    Otherwise the export would stay usable for longer than Amplitude keeps its file.
    """
    log.warning(
        "Export %s of this run was requested %s ahead of this worker's clock, by the clock of the worker that "
        "requested it. Its age counts from now on. %s",
        checkpoint.export_request_id,
        duration(checkpoint.requested_at - now),
        CHECK_CLOCKS,
    )
    return replace(checkpoint, requested_at=now)


def with_own_commits(
    checkpoint: RunCheckpoint, run: Run, newest: Mapping[Stream, Plan | Commit | None]
) -> RunCheckpoint:
    """Count as finished what this run has committed, because it may have ended before it wrote its checkpoint."""
    finished = {
        stream.folder: entry.report
        for stream, entry in newest.items()
        if isinstance(entry, Commit)
        and entry.run_key == run.key
        and entry.export_request_id == checkpoint.export_request_id
    }
    return replace(checkpoint, finished={**checkpoint.finished, **finished})
