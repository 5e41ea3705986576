"""The fan-out: one export told to several destinations, side by side, each by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.destination_sync import DestinationSync
from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
from airflow_provider_amplitude_segment.core.engine.database import engine_memory_mib
from airflow_provider_amplitude_segment.core.export.run_checkpoint import write_checkpoint
from airflow_provider_amplitude_segment.core.plan.draft import write_plan
from airflow_provider_amplitude_segment.core.report.report import error_text
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ClaimLostError, EngineError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.export.run_checkpoint import RunCheckpoint
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

_LEAST_MEMORY_MIB = 64


def deliver_all(  # what every telling shares, and where to note how far each came
    drafts: Sequence[Draft],
    settings: SyncSettings,
    run: Run,
    record: RunCheckpoint,
    held_claims: HeldClaims,
    ports: DeliveryPorts,
    report: SyncReport,
    note: Callable[[DestinationReport], None],
) -> None:
    """Plan and tell all destinations; when each has ended, raise the error that a retry may cure, if any.

    ``note`` is called with a destination's report whenever there is a newer one, also before an error leaves.
    Destinations that are committed while another is not are remembered in the run's record.
    """
    destination_syncs = plan_destination_syncs(drafts, settings, run, record, held_claims, ports)
    for destination_sync in destination_syncs:
        known = destination_sync.known(report.destination(destination_sync.draft.stream.destination.name))
        report = report.with_destination(known)
        note(known)
    try:
        outcomes = deliver_in_parallel(destination_syncs, report, ports.stop)
    except BaseException:
        for destination_sync in destination_syncs:
            note(destination_sync.known(report.destination(destination_sync.draft.stream.destination.name)))
        raise
    errors: list[Exception] = []
    finished = dict(record.finished)
    for destination_sync, told, caught in outcomes:
        error = caught.needing(ports.room_bytes) if isinstance(caught, EngineError) else caught
        ended = told if error is None else replace(told, error=error_text(error))
        note(ended)
        if error is not None:
            errors.append(error)
        if ended.committed:
            finished[destination_sync.draft.stream.folder] = asdict(ended)
    if not errors:
        return
    if not any(isinstance(error, ClaimLostError) for error in errors):
        write_checkpoint(ports.store, destination_syncs[0].draft.stream, run, replace(record, finished=finished))
    # An error that is not ours may pass by the next try.
    raise min(errors, key=lambda error: isinstance(error, AmplitudeSegmentError) and not error.retryable)


def plan_destination_syncs(  # what every telling shares
    drafts: Sequence[Draft],
    settings: SyncSettings,
    run: Run,
    record: RunCheckpoint,
    held_claims: HeldClaims,
    ports: DeliveryPorts,
) -> list[DestinationSync]:
    """Write the plan of each draft that resumes none, and give each telling what it shares with others."""
    paces = share_rate_limiters([draft.stream.destination for draft in drafts], settings.events_per_second)
    memory_mib = engine_memory_mib(is_wide=bool(settings.user_properties))
    destination_syncs = []
    for draft in drafts:
        destination = draft.stream.destination
        plan = draft.resumed or write_plan(
            draft,
            settings,
            generation=held_claims.generation(draft.stream),
            run=run,
            export_request_id=record.export_request_id,
            clock=ports.clock,
            random_source=ports.random_source,
        )
        if draft.state_missing:
            # From here on the ledger as it is counts: a hint at what was lost refuses no later sync.
            draft.ledger.set_head(plan.generation)
        destination_syncs.append(
            DestinationSync(
                draft=draft,
                plan=plan,
                post=ports.segment_clients[destination],
                rate_limiter=paces[destination],
                context={**(settings.segment_context or {}), "integration": dict(ports.integration)},
                settings=settings,
                run=run,
                held_claims=held_claims,
                clock=ports.clock,
                random_source=ports.random_source,
                stop=ports.stop,
                memory_mib=max(_LEAST_MEMORY_MIB, memory_mib // len(drafts)),
                show=ports.show,
            )
        )
    return destination_syncs


def share_rate_limiters(
    destinations: Sequence[Destination], events_per_second: float | None
) -> dict[Destination, RateLimiter]:
    """Return one pace for all destinations that name one workspace, and one of its own for each that names none."""
    paces: dict[str, RateLimiter] = {}
    # A slug has no ~, so a destination without a workspace shares its pace with nobody.
    workspaces = {destination: destination.workspace or f"~{destination.name}" for destination in destinations}
    return {
        destination: paces.setdefault(workspace, RateLimiter(events_per_second))
        for destination, workspace in workspaces.items()
    }


def deliver_in_parallel(
    destination_syncs: Sequence[DestinationSync], report: SyncReport, stop: threading.Event
) -> list[tuple[DestinationSync, DestinationReport, Exception | None]]:
    """Tell all destinations, and return each with its report and its error once all have ended."""
    before = [
        report.destination(destination_sync.draft.stream.destination.name) for destination_sync in destination_syncs
    ]
    if len(destination_syncs) == 1:
        return [(destination_syncs[0], *destination_syncs[0].deliver(before[0]))]
    with ThreadPoolExecutor(max(1, len(destination_syncs)), thread_name_prefix="destination") as pool:
        futures = [pool.submit(t.deliver, known) for t, known in zip(destination_syncs, before, strict=True)]
        try:
            return [(t, *future.result()) for t, future in zip(destination_syncs, futures, strict=True)]
        except BaseException:
            # E.g. Airflow's execution_timeout: it reaches this thread alone.
            stop.set()
            raise
