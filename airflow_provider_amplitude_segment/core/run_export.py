"""The run's export: the one it has, while that may be told, else a new one, saved at once."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS, duration
from airflow_provider_amplitude_segment.core.entry import Commit
from airflow_provider_amplitude_segment.core.guards import check_exports_left
from airflow_provider_amplitude_segment.core.run_record import RunRecord, read_run_record, write_run_record
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.entry import Plan
    from airflow_provider_amplitude_segment.core.export_order import ExportOrder
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream
    from airflow_provider_amplitude_segment.core.tenure import Tenure

log = logging.getLogger(__name__)


def open_run_export(  # who asks, whom, and what is known
    store: Store,
    run: Run,
    order: ExportOrder,
    newest: Mapping[Stream, Plan | Commit | None],
    tenure: Tenure,
    settings: SyncSettings,
    clock: Clock,
) -> RunRecord:
    """Return the record of the run's export, requesting one where it has none that may be told.

    Args:
        store: where the record is.
        run: whose export.
        order: requests one.
        newest: the newest entry of each stream's ledger.
        tenure: the claims under which a new export is requested.
        settings: how many exports must be left, and which user properties go along.
        clock: time.

    Raises:
        ClaimLostError: a stream was taken over; no export was spent.
        FewExportsLeftError: too few are left this month; no export was spent.
    """
    stream = next(iter(newest))
    record = read_run_record(store, stream, run)
    # One without an export is a retirement's.
    if record is not None and record.export_request_id:
        record = _with_own_commits(record, run, newest)
        if record.requested_at - clock.now() > CLOCK_TOLERANCE_SECONDS:
            record = _requested_now(record, clock.now())
            tenure.look_at_all()
            write_run_record(store, stream, run, record)
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
    tenure.look_at_all()
    request_id = order.request(stream.cohort_id, settings.user_properties)
    record = RunRecord(
        request_id,
        clock.now(),
        {s.folder: tenure.generation(s) for s in newest},
        counts=counts,
        user_properties=settings.user_properties,
    )
    write_run_record(store, stream, run, record)
    log.info("Requested export %s of cohort %s", request_id, stream.cohort_id)
    return record


def _requested_now(record: RunRecord, now: float) -> RunRecord:
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


def _with_own_commits(record: RunRecord, run: Run, newest: Mapping[Stream, Plan | Commit | None]) -> RunRecord:
    """Count as finished what this run has committed, although it died before it noted that."""
    finished = {
        stream.folder: entry.report
        for stream, entry in newest.items()
        if isinstance(entry, Commit)
        and entry.run_key == run.key
        and entry.export_request_id == record.export_request_id
    }
    return replace(record, finished={**record.finished, **finished})
