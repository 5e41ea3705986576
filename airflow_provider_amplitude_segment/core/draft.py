"""The draft of a plan: everything decided about one destination before anything is written or sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

from airflow_provider_amplitude_segment.core.clock import later_timestamp
from airflow_provider_amplitude_segment.core.diff import diff_membership
from airflow_provider_amplitude_segment.core.engine_file import parquet_rows, write_csv
from airflow_provider_amplitude_segment.core.entry import Plan, TraitOrigin
from airflow_provider_amplitude_segment.core.object_names import ObjectName, dry_run_file
from airflow_provider_amplitude_segment.core.report import DestinationReport
from airflow_provider_amplitude_segment.core.state import read_state
from airflow_provider_amplitude_segment.core.stream import fingerprint
from airflow_provider_amplitude_segment.core.user_properties import check_names, members_of_object, names_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.clock import Chance, Clock
    from airflow_provider_amplitude_segment.core.diff import Diff, SyncMode
    from airflow_provider_amplitude_segment.core.entry import Commit, PlanMode
    from airflow_provider_amplitude_segment.core.journal import Journal
    from airflow_provider_amplitude_segment.core.ledger import Ledger
    from airflow_provider_amplitude_segment.core.membership import Membership
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.core.stream import Run, Stream

log = logging.getLogger(__name__)

_REPORTED_COUNTS = ("entered", "exited", "retired", "changed", "unchanged", "in_doubt", "skipped")


@dataclass(frozen=True, slots=True)
class Draft:
    """One destination before it is told.

    Attributes:
        stream: the cohort there.
        ledger: its ledger.
        newest: the entry the state is taken from.
        trait: the trait key that is told.
        mode: how it is told; ``full`` also where the state was lost, ``retire`` only by a retirement.
        scratch: a folder of its own.
        resumed: this run's own unfinished plan of the same export and parameters, to be gone on with.
        diff: what a new plan would tell; ``None`` where one is resumed.
        base: the state before, on the worker's disk.
        begins_anew: the state was lost, and this says so no more once its plan stands.
        origin: which task named the trait key; ``None`` for a retirement.
    """

    stream: Stream
    ledger: Ledger
    newest: Plan | Commit | None
    trait: str
    mode: PlanMode
    scratch: Path
    resumed: Plan | None = None
    diff: Diff | None = None
    base: Path | None = None
    begins_anew: bool = False
    origin: TraitOrigin | None = None


def plan_fingerprint(settings: SyncSettings, trait: str, mode: PlanMode) -> str:
    """Return what differs when parameters that make a plan differ; guards and limits do not."""
    return fingerprint(
        [
            mode,
            trait,
            dict(settings.segment_context or {}),
            dict(settings.integrations or {}),
            # A plan of before there were properties is gone on with.
            *([list(settings.user_properties)] if settings.user_properties else []),
        ]
    )


def open_draft(  # what is known of a destination before the export's file is
    stream: Stream,
    ledger: Ledger,
    newest: Plan | Commit | None,
    settings: SyncSettings,
    *,
    trait: str,
    begins_anew: bool,
    run: Run,
    export_request_id: str,
    scratch: Path,
) -> Draft:
    """Decide the trait key, and whether this run's own plan is gone on with.

    A destination whose state was lost ``begins_anew``: it is told in full, and so are the plan's later tries.

    Raises:
        SettingError: a user property has the name of the trait key; nothing was sent.
    """
    origin: TraitOrigin | None = TraitOrigin(
        run.task, settings.trait_name, run.dag_run, run.key, run.installation, run.airflow
    )
    if settings.on_trait_change == "keep" and newest is not None and newest.trait != trait:
        log.warning(
            "%s: the trait key would now be %r; on_trait_change='keep' stays with %r.",
            stream.destination.segment_conn_id,
            trait,
            newest.trait,
        )
        trait, origin = newest.trait, newest.origin
    check_names(settings.user_properties, trait)
    mode: SyncMode = "full" if begins_anew else settings.sync_mode
    modes = {mode, "full"} if settings.on_missing_state == "full" else {mode}
    resumed = None
    # A dry run plans anew, beside whatever this run has begun.
    if (
        is_begun(newest, run)
        and not settings.dry_run
        and newest.export_request_id == export_request_id
        and newest.fingerprint in {plan_fingerprint(settings, trait, m) for m in modes}
    ):
        resumed = newest
    return Draft(stream, ledger, newest, trait, mode, scratch, resumed, begins_anew=begins_anew, origin=origin)


def is_begun(newest: Plan | Commit | None, run: Run) -> TypeGuard[Plan]:
    """Tell whether the newest entry is a plan of this run's own that it has not finished."""
    return isinstance(newest, Plan) and newest.run_key == run.key


def compare(
    engine: duckdb.DuckDBPyConnection, draft: Draft, membership: Membership, properties: Sequence[str] = ()
) -> Draft:
    """Return the draft with the difference between the membership and what this destination was told."""
    base = read_state(engine, draft.ledger, draft.newest, draft.scratch)
    diff = diff_membership(
        engine,
        membership,
        base,
        trait=draft.trait,
        # A retirement repeats what is known, as ``full`` does.
        mode="incremental" if draft.mode == "incremental" else "full",
        to=draft.scratch / "planned.parquet",
        properties=properties,
    )
    return replace(draft, diff=diff, base=base)


def write_plan(  # a draft in, a plan out, in the ledger's order of writes
    draft: Draft,
    settings: SyncSettings,
    *,
    generation: int,
    run: Run,
    export_request_id: str,
    clock: Clock,
    chance: Chance,
) -> Plan:
    """Write a new plan into the ledger, data first, and return it. Nothing of it may be sent before a look."""
    ledger, newest, diff = draft.ledger, draft.newest, draft.diff
    if diff is None:
        msg = "a draft without a difference has nothing to write"
        raise AssertionError(msg)
    base = None
    if isinstance(newest, Plan) and draft.base is not None:
        base = ledger.keep(str(ObjectName("base", generation)), draft.base)
    elif newest is not None and not isinstance(newest, Plan):
        base = newest.snapshot
    plan = Plan(
        generation=generation,
        plan_id=chance.token(),
        run_key=run.key,
        export_request_id=export_request_id,
        fingerprint=plan_fingerprint(settings, draft.trait, draft.mode),
        mode=draft.mode,
        trait=draft.trait,
        timestamp=later_timestamp(clock.now(), newest.timestamp if newest else None),
        planned=diff.planned,
        counts=_counts(diff),
        changes=ledger.keep(str(ObjectName("changes", generation)), diff.changes),
        base=base,
        segment_conn_id=draft.stream.destination.segment_conn_id,
        destination=draft.stream.destination.name,
        key_fingerprint=draft.stream.destination.key_fingerprint,
        proved_key=_proved_key(ledger, newest),
        origin=draft.origin,
    )
    ledger.write_plan(plan)
    return plan


def _proved_key(ledger: Ledger, newest: Plan | Commit | None) -> str:
    """Return the fingerprint of the write key that Segment acknowledged something with most lately."""
    if newest is None:
        return ""
    if isinstance(newest, Plan) and ledger.journal(newest).acked.count:
        return newest.key_fingerprint
    return newest.proved_key


def list_planned(engine: duckdb.DuckDBPyConnection, draft: Draft, name: str) -> str | None:
    """Write a draft's changes to ``dry-runs/<name>.csv`` for people, and return where that is.

    ``None`` where this run's own plan stands already, so that nothing new is planned.
    """
    if draft.diff is None:
        return None
    path = draft.scratch / "planned.csv"
    names = names_in(engine, draft.diff.changes)
    properties = f", concat('{{', substr({members_of_object(names)}, 2), '}}') AS properties" if names else ""
    changes = parquet_rows(draft.diff.changes)
    engine.execute(write_csv(f"SELECT trait, user_id, value{properties} FROM {changes}", path))
    return draft.ledger.put_beside(dry_run_file(name), path)


def report_draft(draft: Draft) -> DestinationReport:
    """Return what the report tells of a destination before it is told."""
    destination = draft.stream.destination
    follows = None if isinstance(draft.newest, Plan) else draft.newest.generation if draft.newest else 0
    report = DestinationReport(destination.segment_conn_id, destination.name, draft.mode, draft.trait, follows=follows)
    if draft.resumed:
        return report_plan(report, draft.resumed, draft.ledger.journal(draft.resumed))
    if draft.diff is None:
        return report
    diff = draft.diff
    return replace(report.with_counts(_counts(diff)), planned=diff.planned, pending=diff.planned)


def report_plan(report: DestinationReport, plan: Plan, journal: Journal) -> DestinationReport:
    """Return a destination's report with the counts of its plan, as far as its journal knows."""
    return replace(
        report.with_counts(plan.counts),
        mode=plan.mode,
        trait=plan.trait,
        planned=plan.planned,
        acknowledged=journal.acked.count,
        rejected=len(journal.refused),
        pending=journal.pending(plan.planned).count,
        generation=plan.generation,
    )


def _counts(diff: Diff) -> dict[str, int]:
    return {name: getattr(diff, name) for name in _REPORTED_COUNTS}
