"""Apply the guards to all destinations of a sync: let it through, skip it, refuse it, or ask a person.

A question is an outcome of the sync, as an incomplete export is: the claims are released, and the run checkpoint keeps
the export. *Send anyway* writes an approval into the checkpoint (ADR 0030), and the next call of the same run finds it
here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.plan.approved import approve, starting_points
from airflow_provider_amplitude_segment.core.plan.draft import NewDraft
from airflow_provider_amplitude_segment.core.plan.guards import check_guards, is_suddenly_empty
from airflow_provider_amplitude_segment.core.report.answer import SEND_ANYWAY
from airflow_provider_amplitude_segment.core.report.outcome import Skipped
from airflow_provider_amplitude_segment.core.report.question import AlsoSent, AskedDestination, PastSync, Question
from airflow_provider_amplitude_segment.core.report.saved_report import ASKED
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, AskableGuardError, ExitRatioError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.export.approval import Approval
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit
    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
    from airflow_provider_amplitude_segment.core.membership.membership import Membership
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.session import SyncSession

log = logging.getLogger(__name__)

_PAST_SYNCS = 3


@dataclass(frozen=True, slots=True)
class TrippedGuard:
    """A destination whose guard refuses the sync.

    Attributes:
        draft: what would be sent.
        error: the guard's.
    """

    draft: NewDraft
    error: AskableGuardError


def check_drafts(
    session: SyncSession, drafts: Sequence[Draft], membership: Membership
) -> tuple[list[Draft], Skipped | Question | None]:
    """Apply the guards to all destinations; a dry run only reports what they refuse.

    Returns:
        The drafts, those that a person approved with the name; and what ends the sync before anything is sent.

    Raises:
        AskableGuardError: a guard refuses the sync of this destination; nothing was sent to any.
    """
    settings = session.settings
    tripped = find_tripped(session, drafts, membership)
    if settings.dry_run:
        for each in tripped:
            _note_error(session, each.draft, each.error.summary)
            log.warning("A sync would be refused: %s", each.error.summary)
        return list(drafts), None
    approval = _valid_approval(session, drafts)
    if not tripped:
        known = next(
            (d.diff.known for d in drafts if isinstance(d, NewDraft) and is_suddenly_empty(membership, d.diff)), 0
        )
        if known and settings.on_empty_cohort == "skip":
            reason = f"the export has no member, and {known:,} are known (on_empty_cohort='skip')"
            return list(drafts), Skipped(reason)
        return list(drafts), None
    if approval is not None:
        return _let_through(session, drafts, tripped, approval.approved_by), None
    tripped = _with_files(session, tripped)
    if settings.on_guard == "fail":
        raise tripped[0].error
    return list(drafts), _ask(session, drafts, tripped, membership)


def find_tripped(session: SyncSession, drafts: Sequence[Draft], membership: Membership) -> list[TrippedGuard]:
    """Return every destination whose guard refuses the sync; a resumed plan passed it before."""
    tripped = []
    for draft in drafts:
        if isinstance(draft, NewDraft):
            try:
                check_guards(draft.diff, membership, session.settings, draft.opened.stream.destination.segment_conn_id)
            except AskableGuardError as error:
                tripped.append(TrippedGuard(draft, error))
    return tripped


def _valid_approval(session: SyncSession, drafts: Sequence[Draft]) -> Approval | None:
    """Return the kept approval if it holds for these drafts. One that does not hold is named in the log."""
    approval = session.checkpoint.approval
    if approval is None:
        return None
    if session.settings.on_guard != "ask":
        reason = "on_guard is no longer 'ask'"
    elif approval.is_from_before_clearing(session.run):
        reason = "the task was cleared since"
    elif not approval.covers(session.checkpoint.export_request_id, starting_points(drafts, session.settings)):
        reason = "the export, the state or the parameters changed since the question"
    else:
        return approval
    log.warning(
        "%s answered %r, and that approval does not hold: %s. The guards decide anew.",
        approval.approved_by,
        SEND_ANYWAY,
        reason,
    )
    return None


def _let_through(
    session: SyncSession, drafts: Sequence[Draft], tripped: Sequence[TrippedGuard], approved_by: str
) -> list[Draft]:
    for each in tripped:
        name = each.draft.opened.stream.destination.name
        session.note(replace(session.report.destination(name), approved_by=approved_by))
        log.warning("%s. It is sent, because %s approved it.", each.error.happened, approved_by)
    return approve(drafts, {each.draft.opened.stream.folder for each in tripped}, approved_by)


def _with_files(session: SyncSession, tripped: Sequence[TrippedGuard]) -> list[TrippedGuard]:
    """Write the planned changes for people; a failure is only a warning, because the guard's finding matters more."""
    try:
        session.list_planned([each.draft for each in tripped])
    except AmplitudeSegmentError as error:
        log.warning("The planned changes could not be written: %s", error.happened)
    listed = []
    for each in tripped:
        report = session.report.destination(each.draft.opened.stream.destination.name)
        listed.append(replace(each, error=each.error.with_details(report.planned_changes)))
    return listed


def _ask(
    session: SyncSession, drafts: Sequence[Draft], tripped: Sequence[TrippedGuard], membership: Membership
) -> Question:
    asked, stopped = [], [each.draft.opened for each in tripped]
    for each in tripped:
        log.warning("%s. A person is asked (on_guard='ask').", each.error.happened)
        _note_error(session, each.draft, f"{each.error.happened}. A person is asked (on_guard='ask').")
        asked.append(_asked(each))
    claims = session.save_reports(None, ASKED)
    session.ports.show({"step": "Wait for a person's answer"})
    return Question(
        session.streams[0].app_id,
        session.report.cohort_id,
        session.report.cohort_name,
        session.checkpoint.export_request_id,
        membership.members,
        membership.anonymous,
        starting_points(drafts, session.settings),
        tuple(asked),
        claims,
        tuple(_also_sent(session, draft) for draft in drafts if draft.opened not in stopped),
        session.checkpoint.sendable_until,
    )


def _asked(tripped: TrippedGuard) -> AskedDestination:
    diff, error, opened = tripped.draft.diff, tripped.error, tripped.draft.opened
    ratio = error.max_exit_ratio if isinstance(error, ExitRatioError) else None
    return AskedDestination(
        segment_conn_id=opened.stream.destination.segment_conn_id,
        known=diff.known if ratio is None else diff.known_true,
        would_enter=diff.entered,
        would_exit=diff.known if ratio is None else diff.leaving,
        max_exit_ratio=ratio,
        planned_changes=error.planned_changes,
        past=_past_syncs(opened.ledger),
    )


def _also_sent(session: SyncSession, draft: Draft) -> AlsoSent:
    if isinstance(draft, NewDraft):
        diff = draft.diff
        return AlsoSent(draft.opened.stream.destination.segment_conn_id, diff.known_true, diff.entered, diff.leaving)
    report = session.report.destination(draft.opened.stream.destination.name)
    return AlsoSent(report.segment_conn_id, None, report.entered, report.exited)


def _past_syncs(ledger: Ledger) -> tuple[PastSync, ...]:
    """Return the last syncs of a ledger, the newest first; none where they cannot be read."""
    try:
        commits = [ledger.commit(generation) for generation in reversed(ledger.commits())]
    except AmplitudeSegmentError as error:
        log.warning("The question does not show the last syncs: %s", error.happened)
        return ()
    # Those of a rollback, an erasure and a healing have no report.
    return tuple(_past_sync(commit) for commit in commits if commit.report)[:_PAST_SYNCS]


def _past_sync(commit: Commit) -> PastSync:
    report = commit.report
    return PastSync(commit.timestamp, report.get("entered", 0), report.get("exited", 0), report.get("known"))


def _note_error(session: SyncSession, draft: NewDraft, text: str) -> None:
    session.note(replace(session.report.destination(draft.opened.stream.destination.name), error=text))
