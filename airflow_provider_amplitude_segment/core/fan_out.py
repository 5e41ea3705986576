"""The fan-out: one export told to several destinations, side by side, each by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.draft import write_plan
from airflow_provider_amplitude_segment.core.engine import MEMORY_MIB
from airflow_provider_amplitude_segment.core.pace import Pace
from airflow_provider_amplitude_segment.core.telling import Telling

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.draft import Draft
    from airflow_provider_amplitude_segment.core.outside import Outside
    from airflow_provider_amplitude_segment.core.report import DestinationReport, SyncReport
    from airflow_provider_amplitude_segment.core.run_record import RunRecord
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.core.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.tenure import Tenure

_LEAST_MEMORY_MIB = 64


def plan_tellings(  # what every telling shares
    drafts: Sequence[Draft],
    settings: SyncSettings,
    run: Run,
    record: RunRecord,
    tenure: Tenure,
    outside: Outside,
) -> list[Telling]:
    """Write the plan of each draft that resumes none, and give each telling what it shares with others."""
    paces = share_paces([draft.stream.destination for draft in drafts], settings.events_per_second)
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
                memory_mib=max(_LEAST_MEMORY_MIB, MEMORY_MIB // len(drafts)),
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
