"""The fan-out: one export told to several destinations, side by side, each by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.destination_sync import Telling
from airflow_provider_amplitude_segment.core.delivery.rate_limiter import Pace
from airflow_provider_amplitude_segment.core.engine.database import engine_memory_mib
from airflow_provider_amplitude_segment.core.export.run_checkpoint import write_run_record
from airflow_provider_amplitude_segment.core.plan.draft import write_plan
from airflow_provider_amplitude_segment.core.report.report import error_text
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ClaimLostError, EngineError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import TellingOutside
    from airflow_provider_amplitude_segment.core.export.run_checkpoint import RunRecord
    from airflow_provider_amplitude_segment.core.ledger.held_claims import Tenure
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

_LEAST_MEMORY_MIB = 64


def tell_all(  # what every telling shares, and where to note how far each came
    drafts: Sequence[Draft],
    settings: SyncSettings,
    run: Run,
    record: RunRecord,
    tenure: Tenure,
    outside: TellingOutside,
    report: SyncReport,
    note: Callable[[DestinationReport], None],
) -> None:
    """Plan and tell all destinations; when each has ended, raise the error that a retry may cure, if any.

    ``note`` is called with a destination's report whenever there is a newer one, also before an error leaves.
    Destinations that are committed while another is not are remembered in the run's record.
    """
    tellings = plan_tellings(drafts, settings, run, record, tenure, outside)
    for telling in tellings:
        known = telling.known(report.destination(telling.draft.stream.destination.name))
        report = report.with_destination(known)
        note(known)
    try:
        outcomes = tell_side_by_side(tellings, report, outside.stop)
    except BaseException:
        for telling in tellings:
            note(telling.known(report.destination(telling.draft.stream.destination.name)))
        raise
    errors: list[Exception] = []
    finished = dict(record.finished)
    for telling, told, caught in outcomes:
        error = caught.needing(outside.room_bytes) if isinstance(caught, EngineError) else caught
        ended = told if error is None else replace(told, error=error_text(error))
        note(ended)
        if error is not None:
            errors.append(error)
        if ended.committed:
            finished[telling.draft.stream.folder] = asdict(ended)
    if not errors:
        return
    if not any(isinstance(error, ClaimLostError) for error in errors):
        write_run_record(outside.store, tellings[0].draft.stream, run, replace(record, finished=finished))
    # An error that is not ours may pass by the next try.
    raise min(errors, key=lambda error: isinstance(error, AmplitudeSegmentError) and not error.retryable)


def plan_tellings(  # what every telling shares
    drafts: Sequence[Draft],
    settings: SyncSettings,
    run: Run,
    record: RunRecord,
    tenure: Tenure,
    outside: TellingOutside,
) -> list[Telling]:
    """Write the plan of each draft that resumes none, and give each telling what it shares with others."""
    paces = share_paces([draft.stream.destination for draft in drafts], settings.events_per_second)
    memory_mib = engine_memory_mib(is_wide=bool(settings.user_properties))
    tellings = []
    for draft in drafts:
        destination = draft.stream.destination
        plan = draft.resumed or write_plan(
            draft,
            settings,
            generation=tenure.generation(draft.stream),
            run=run,
            export_request_id=record.export_request_id,
            clock=outside.clock,
            chance=outside.chance,
        )
        if draft.begins_anew:
            # From here on the ledger as it is counts: a hint at what was lost refuses no later sync.
            draft.ledger.set_hint(plan.generation)
        tellings.append(
            Telling(
                draft=draft,
                plan=plan,
                post=outside.posts[destination],
                pace=paces[destination],
                context={**(settings.segment_context or {}), "integration": dict(outside.integration)},
                settings=settings,
                run=run,
                tenure=tenure,
                clock=outside.clock,
                chance=outside.chance,
                stop=outside.stop,
                memory_mib=max(_LEAST_MEMORY_MIB, memory_mib // len(drafts)),
                show=outside.show,
            )
        )
    return tellings


def share_paces(destinations: Sequence[Destination], events_per_second: float | None) -> dict[Destination, Pace]:
    """Return one pace for all destinations that name one workspace, and one of its own for each that names none."""
    paces: dict[str, Pace] = {}
    # A slug has no ~, so a destination without a workspace shares its pace with nobody.
    workspaces = {destination: destination.workspace or f"~{destination.name}" for destination in destinations}
    return {
        destination: paces.setdefault(workspace, Pace(events_per_second))
        for destination, workspace in workspaces.items()
    }


def tell_side_by_side(
    tellings: Sequence[Telling], report: SyncReport, stop: threading.Event
) -> list[tuple[Telling, DestinationReport, Exception | None]]:
    """Tell all destinations, and return each with its report and its error once all have ended."""
    before = [report.destination(telling.draft.stream.destination.name) for telling in tellings]
    if len(tellings) == 1:
        return [(tellings[0], *tellings[0].tell(before[0]))]
    with ThreadPoolExecutor(max(1, len(tellings)), thread_name_prefix="destination") as pool:
        futures = [pool.submit(t.tell, known) for t, known in zip(tellings, before, strict=True)]
        try:
            return [(t, *future.result()) for t, future in zip(tellings, futures, strict=True)]
        except BaseException:
            # E.g. Airflow's execution_timeout: it reaches this thread alone.
            stop.set()
            raise
