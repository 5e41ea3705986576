"""Draft a plan: decide everything about one destination before anything is written or sent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

from airflow_provider_amplitude_segment.core.clock import is_ahead, later_timestamp, timestamp
from airflow_provider_amplitude_segment.core.ledger.entry import Plan, TraitOrigin
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName
from airflow_provider_amplitude_segment.core.ledger.state import read_state
from airflow_provider_amplitude_segment.core.ledger.stream import fingerprint
from airflow_provider_amplitude_segment.core.plan.diff import PlanTerms, diff_membership
from airflow_provider_amplitude_segment.core.plan.events import (
    event_terms,
    fingerprint_part,
    follows_no_sync,
    has_events,
    warn_of_doubt,
)
from airflow_provider_amplitude_segment.core.report.report import DestinationReport
from airflow_provider_amplitude_segment.core.user_properties import check_names

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.export.run_checkpoint import RunCheckpoint
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal, PlanMode
    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Stream
    from airflow_provider_amplitude_segment.core.membership.membership import Membership
    from airflow_provider_amplitude_segment.core.plan.diff import Diff
    from airflow_provider_amplitude_segment.core.settings import SyncMode, SyncSettings

log = logging.getLogger(__name__)

_REPORTED_COUNTS = ("entered", "exited", "retired", "changed", "unchanged", "in_doubt", "skipped")


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """One stream whose claim is held, and its ledger before this sync.

    Attributes:
        stream: the cohort at one destination.
        ledger: its ledger.
        newest: the entry with the state.
        scratch: an empty folder of its own.
        state_missing: Airflow recorded a sync that the ledger does not have, so the destination is sent in full.
    """

    stream: Stream
    ledger: Ledger
    newest: Plan | Commit | None
    scratch: Path
    state_missing: bool = False


@dataclass(frozen=True, slots=True)
class NewDraft:
    """The changes of one destination, before their plan is written.

    Attributes:
        opened: the stream.
        terms: the trait key and the mode.
        diff: what the plan will send.
        base: the state before, on the worker's disk; ``None`` if there is none.
        approved_by: the person who let the plan through a guard; ``None`` if no guard stopped it.
    """

    opened: OpenedStream
    terms: PlanTerms
    diff: Diff
    base: Path | None
    approved_by: str | None = None


@dataclass(frozen=True, slots=True)
class ResumedDraft:
    """This run's own unfinished plan of the same export and parameters.

    Attributes:
        opened: the stream.
        plan: the plan to resume.
    """

    opened: OpenedStream
    plan: Plan


Draft = NewDraft | ResumedDraft


@dataclass(frozen=True, slots=True)
class PlanIdentity:
    """What identifies a plan.

    Attributes:
        generation: of the claim that the plan is written under.
        plan_id: random, so that the message IDs of two plans differ.
        run_key: of the run that writes the plan.
        now: seconds since 1970.
        run_label: that run, for a reader.
    """

    generation: int
    plan_id: str
    run_key: str
    now: float
    run_label: str = ""


def plan_fingerprint(settings: SyncSettings, trait: str, mode: PlanMode) -> str:
    """Return a hash of the parameters that shape a plan; guards and limits are not among them."""
    return fingerprint(
        [
            mode,
            trait,
            dict(settings.segment_context or {}),
            dict(settings.integrations or {}),
            # Absent without properties, so that a plan of an earlier version is resumed.
            *([list(settings.user_properties)] if settings.user_properties else []),
            *(fingerprint_part(settings) if mode != "retire" else []),
        ]
    )


def decide_terms(
    opened: OpenedStream, settings: SyncSettings, trait: str, checkpoint: RunCheckpoint, run: Run
) -> PlanTerms:
    """Return a destination's terms: which trait key it is sent, and in which mode.

    Args:
        opened: the destination; if its state is missing, it is sent in full.
        settings: ``on_trait_change``, ``sync_mode`` and ``user_properties``.
        trait: the trait key by the cohort's current name.
        checkpoint: with the run's export.
        run: its task names the trait key.

    Raises:
        SettingError: a user property is named like the trait key; nothing was sent.
    """
    newest = opened.newest
    origin: TraitOrigin | None = TraitOrigin(
        run.task, settings.trait_name, run.dag_run, run.key, run.installation, run.airflow
    )
    if settings.on_trait_change == "keep" and newest is not None and newest.trait != trait:
        log.warning(
            "%s: the trait key stays %r, because on_trait_change is 'keep'. The current name and template give %r.",
            opened.stream.destination.segment_conn_id,
            newest.trait,
            trait,
        )
        trait, origin = newest.trait, newest.origin
    check_names(settings.user_properties, trait)
    mode: SyncMode = "full" if opened.state_missing else settings.sync_mode
    return PlanTerms(trait, mode, checkpoint.export_request_id, origin, checkpoint.exported_at)


def add_events(terms: PlanTerms, opened: OpenedStream, settings: SyncSettings, cohort_name: str) -> PlanTerms:
    """Return the terms with what the plan's events are called, where events are on."""
    if settings.events == "off":
        return terms
    is_first_sync = follows_no_sync(opened.newest, opened.ledger)
    events = event_terms(settings, cohort_name, is_first_sync=is_first_sync)
    return replace(terms, events=events, carries_events=has_events(events, terms.mode, settings))


def find_resumable(opened: OpenedStream, terms: PlanTerms, settings: SyncSettings, run: Run) -> ResumedDraft | None:
    """Return this run's own plan if it is unfinished and has the same export and parameters; else ``None``.

    A dry run does not resume: it drafts its changes again. With ``on_missing_state='full'`` a full plan is resumed too,
    because an earlier try may have found the state missing.
    """
    newest = opened.newest
    modes: set[PlanMode] = {terms.mode, "full"} if settings.on_missing_state == "full" else {terms.mode}
    if (
        is_unfinished_plan_of(newest, run)
        and not settings.dry_run
        and newest.export_request_id == terms.export_request_id
        and newest.fingerprint in {plan_fingerprint(settings, terms.trait, mode) for mode in modes}
    ):
        return ResumedDraft(opened, newest)
    return None


def is_unfinished_plan_of(newest: Plan | Commit | None, run: Run) -> TypeGuard[Plan]:
    """Return whether the newest entry is an unfinished plan of this run."""
    return isinstance(newest, Plan) and newest.run_key == run.key


def compare(
    engine: duckdb.DuckDBPyConnection, opened: OpenedStream, terms: PlanTerms, membership: Membership
) -> NewDraft:
    """Return the draft of the differences between the membership and the destination's state."""
    base = read_state(engine, opened.ledger, opened.newest, opened.scratch)
    if isinstance(opened.newest, Plan) and opened.newest.events is not None:
        warn_of_doubt(opened.stream.destination.segment_conn_id, opened.newest, opened.ledger.journal(opened.newest))
    return NewDraft(
        opened, terms, diff_membership(engine, membership, base, terms, opened.scratch / "planned.parquet"), base
    )


def write_plan(draft: NewDraft, identity: PlanIdentity, settings: SyncSettings) -> Plan:
    """Write a new plan to the ledger, data first; the claims must be verified before any of it is sent."""
    ledger, newest, diff = draft.opened.ledger, draft.opened.newest, draft.diff
    base = None
    if isinstance(newest, Plan) and draft.base is not None:
        base = ledger.store_file(str(ObjectName("base", identity.generation)), draft.base)
    elif newest is not None and not isinstance(newest, Plan):
        base = newest.snapshot
    destination = draft.opened.stream.destination
    plan = Plan(
        generation=identity.generation,
        plan_id=identity.plan_id,
        run_key=identity.run_key,
        export_request_id=draft.terms.export_request_id,
        fingerprint=plan_fingerprint(settings, draft.terms.trait, draft.terms.mode),
        mode=draft.terms.mode,
        trait=draft.terms.trait,
        timestamp=later_timestamp(identity.now, newest.timestamp if newest else None),
        planned=diff.planned,
        counts=_counts(diff),
        changes=ledger.store_file(str(ObjectName("changes", identity.generation)), diff.changes),
        base=base,
        segment_conn_id=destination.segment_conn_id,
        destination=destination.name,
        key_fingerprint=destination.key_fingerprint,
        proved_key=_proved_key(ledger, newest),
        origin=draft.terms.origin,
        run_label=identity.run_label,
        approved_by=draft.approved_by,
        exported_epoch=_newest_export(draft.terms, newest, identity.now),
        events=draft.terms.events,
    )
    ledger.write_plan(plan)
    return plan


def _newest_export(terms: PlanTerms, newest: Plan | Commit | None, now: float) -> float:
    """Return when the newest membership was exported; a time in the future would hide the right times after it."""
    if newest is None or not newest.exported_epoch or is_ahead(timestamp(newest.exported_epoch), now):
        return terms.exported_epoch
    return max(terms.exported_epoch, newest.exported_epoch)


def _proved_key(ledger: Ledger, newest: Plan | Commit | None) -> str:
    """Return the fingerprint of the write key of Segment's latest acknowledgment."""
    if newest is None:
        return ""
    if isinstance(newest, Plan) and ledger.journal(newest).acked.count:
        return newest.key_fingerprint
    return newest.proved_key


def report_opened(opened: OpenedStream, terms: PlanTerms) -> DestinationReport:
    """Return a destination's report before the comparison."""
    destination, newest = opened.stream.destination, opened.newest
    follows = None if isinstance(newest, Plan) else newest.generation if newest else 0
    return DestinationReport(destination.segment_conn_id, destination.name, terms.mode, terms.trait, follows=follows)


def report_draft(draft: Draft) -> DestinationReport:
    """Return a destination's report before it is delivered."""
    if isinstance(draft, ResumedDraft):
        terms = PlanTerms(draft.plan.trait, draft.plan.mode)
        return report_plan(report_opened(draft.opened, terms), draft.plan, draft.opened.ledger.journal(draft.plan))
    diff = draft.diff
    report = report_opened(draft.opened, draft.terms).with_counts(_counts(diff))
    return replace(report, planned=diff.planned, pending=diff.planned)


def report_plan(report: DestinationReport, plan: Plan, journal: Journal) -> DestinationReport:
    """Return a destination's report with the counts of its plan and of the plan's journal."""
    return replace(
        report.with_counts(plan.counts),
        mode=plan.mode,
        trait=plan.trait,
        planned=plan.planned,
        acknowledged=journal.acked.count,
        rejected=len(journal.rejected),
        pending=journal.pending(plan.planned).count,
        events_acknowledged=journal.events.acked.count,
        events_rejected=len(journal.events.rejected),
        generation=plan.generation,
        approved_by=plan.approved_by,
    )


def _counts(diff: Diff) -> dict[str, int]:
    events = {} if diff.events is None else {"events_planned": diff.events}
    return {**{name: getattr(diff, name) for name in _REPORTED_COUNTS}, **events}
