"""Deliver one export to several destinations in parallel, each independent of the others."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.busy import Busy
from airflow_provider_amplitude_segment.core.delivery.destination_sync import DestinationSync
from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
from airflow_provider_amplitude_segment.core.plan.draft import PlanIdentity, ResumedDraft, write_plan
from airflow_provider_amplitude_segment.core.report.report import error_text
from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.ledger.entry import Plan
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport
    from airflow_provider_amplitude_segment.core.settings import SyncSettings


@dataclass(frozen=True, slots=True)
class DestinationOutcome:
    """How one destination ended.

    Attributes:
        stream: the cohort there.
        report: its counts.
        error: why it is not committed, or why a retirement's files could not be purged after it; ``None`` for none.
    """

    stream: Stream
    report: DestinationReport
    error: Exception | None


def deliver_all(
    syncs: Sequence[DestinationSync],
    reports: Sequence[DestinationReport],
    ports: DeliveryPorts,
    note: Callable[[DestinationReport], None],
) -> list[DestinationOutcome]:
    """Deliver to each destination; return how each ended, after all have ended.

    Args:
        syncs: one for each destination.
        reports: the last one of each, which stays where its ledger cannot be read now.
        ports: outside of core.
        note: called with each newer report of a destination, also before an error is raised.
    """
    known = [sync.known(report) for sync, report in zip(syncs, reports, strict=True)]
    for report in known:
        note(report)
    try:
        ended = deliver_in_parallel(syncs, known, ports.stop)
    except BaseException:
        for sync, report in zip(syncs, known, strict=True):
            note(sync.known(report))
        raise
    outcomes = []
    for sync, (delivered, caught) in zip(syncs, ended, strict=True):
        error = caught.needing(ports.room_bytes) if isinstance(caught, EngineError) else caught
        report = delivered if error is None else replace(delivered, error=error_text(error))
        note(report)
        outcomes.append(DestinationOutcome(sync.draft.opened.stream, report, error))
    return outcomes


def plan_destination_syncs(
    drafts: Sequence[Draft], settings: SyncSettings, held_claims: HeldClaims, ports: DeliveryPorts
) -> list[DestinationSync]:
    """Write the plan of each new draft; return a sync for each destination, with its share of the rate limit."""
    rate_limiters = share_rate_limiters(
        [draft.opened.stream.destination for draft in drafts], settings.events_per_second
    )
    return [
        DestinationSync(
            draft=draft,
            plan=_plan(draft, settings, held_claims, ports),
            rate_limiter=rate_limiters[draft.opened.stream.destination],
            settings=settings,
            held_claims=held_claims,
            ports=ports,
        )
        for draft in drafts
    ]


def _plan(draft: Draft, settings: SyncSettings, held_claims: HeldClaims, ports: DeliveryPorts) -> Plan:
    """Return the plan to deliver, which is written if it is new; a missing state no longer counts as missing."""
    if isinstance(draft, ResumedDraft):
        plan = draft.plan
    else:
        identity = PlanIdentity(
            generation=held_claims.generation(draft.opened.stream),
            plan_id=ports.random_source.token(),
            run_key=held_claims.run.key,
            run_label=held_claims.run.label,
            now=ports.clock.now(),
        )
        plan = write_plan(draft, identity, settings)
    if draft.opened.state_missing:
        # For a resumed plan too, because a try that wrote the plan may have been killed before this.
        draft.opened.ledger.set_head(plan.generation)
    return plan


def share_rate_limiters(
    destinations: Sequence[Destination], events_per_second: float | None
) -> dict[Destination, RateLimiter]:
    """Return a rate limiter for each destination; those of one workspace share one."""
    by_workspace: dict[str, RateLimiter] = {}
    # A destination without a workspace gets its own rate limiter: ~ occurs in no workspace slug.
    workspaces = {destination: destination.workspace or f"~{destination.name}" for destination in destinations}
    return {
        destination: by_workspace.setdefault(workspace, RateLimiter(events_per_second))
        for destination, workspace in workspaces.items()
    }


def deliver_in_parallel(
    syncs: Sequence[DestinationSync], reports: Sequence[DestinationReport], stop: threading.Event
) -> list[tuple[DestinationReport, Exception | None]]:
    """Deliver to all destinations; return the report and error of each, after all have ended.

    Each has a thread of its own, also where there is one. Airflow raises ``execution_timeout`` between any two steps of
    the main thread, which only waits here. So no delivery is interrupted in the middle of a step.
    """
    busy, is_abandoned = Busy(), threading.Event()

    def deliver(sync: DestinationSync, report: DestinationReport) -> tuple[DestinationReport, Exception | None]:
        with busy:
            if is_abandoned.is_set():
                raise CancelledError
            return sync.deliver(report)

    try:
        with ThreadPoolExecutor(max(1, len(syncs)), thread_name_prefix="destination") as pool:
            try:
                futures = [pool.submit(deliver, sync, report) for sync, report in zip(syncs, reports, strict=True)]
                return [future.result() for future in futures]
            except BaseException:
                is_abandoned.set()
                stop.set()
                raise
    finally:
        # The pool does not wait for a thread that it was about to start, nor where its own end was interrupted.
        busy.wait_for_end()
