"""The answer to why a user was, or was not, sent: of one ledger, in words that never repeat the user ID."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.maintenance.user_events import ABANDONED, REJECTED
from airflow_provider_amplitude_segment.core.plan.diff import REJECTIONS_BEFORE_WAITING
from airflow_provider_amplitude_segment.core.report.saved_report import FAILED, SKIPPED, STOPPED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.maintenance.kept_entries import KeptEntries
    from airflow_provider_amplitude_segment.core.maintenance.user_events import UserEvent
    from airflow_provider_amplitude_segment.core.maintenance.user_rows import StateRow

_MOST_STOPPED = 10
"""Syncs without a plan that an answer names, the newest."""


@dataclass(frozen=True, slots=True)
class StoppedSync:
    """A sync that ended before it had a plan, so that the ledger does not know whether it named the user.

    Attributes:
        at: ISO 8601; ``None`` where the ledger does not have it.
        run: for a reader; ``None`` where the ledger does not have it.
        outcome: of ``SavedReport``.
        error: what ended it.
        answered_by: who answered the guard's question with *Do not send*; ``None`` for none.
    """

    at: str | None
    run: str | None
    outcome: str
    error: str | None
    answered_by: str | None = None


@dataclass(frozen=True, slots=True)
class UserStory:
    """What one ledger knows of the user.

    Attributes:
        ledger: its folder.
        segment_conn_id: the connection; ``None`` before the first plan.
        trait: the current trait key; ``None`` before the first plan.
        values: the current value of each trait.
        events: the changes that kept plans had for the user, the oldest first.
        stopped: the newest syncs that ended without a plan, the oldest first.
        reasons: why the user was not sent, as far as the ledger knows, in sentences.
        error: why this ledger has no answer; ``None`` where it has one.
    """

    ledger: str
    segment_conn_id: str | None = None
    trait: str | None = None
    values: tuple[StateRow, ...] = ()
    events: tuple[UserEvent, ...] = ()
    stopped: tuple[StoppedSync, ...] = ()
    reasons: tuple[str, ...] = ()
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the answer in JSON's types."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the answer as lines of text; names that a person chose are quoted."""
        connection = f" (connection {self.segment_conn_id})" if self.segment_conn_id else ""
        yield f"{self.ledger}{connection}"
        if self.error is not None:
            yield f"  no answer: {_one_line(self.error)}"
            return
        for row in self.values:
            yield f"  now: {_value(row)} under {row.trait!r}"
        if not self.values:
            yield "  now: no value"
        for event in self.events:
            yield f"  {_event(event)}"
        for stopped in self.stopped:
            error = f": {_one_line(stopped.error)}" if stopped.error else ""
            when = stopped.at or "at an unknown time"
            who = f" by {_one_line(stopped.answered_by)}" if stopped.answered_by else ""
            yield f"  {when}: a sync ended before its plan, {stopped.outcome}{who}, {_by(stopped.run)}{error}"
        for reason in self.reasons:
            yield f"  why: {reason}"


def stopped_syncs(kept: KeptEntries) -> tuple[StoppedSync, ...]:
    """Return the newest syncs that ended without a plan, the oldest first."""
    found = [
        StoppedSync(report.written_at, report.run, report.outcome, report.error, report.answered_by)
        for report in kept.reports
        if report.outcome in {FAILED, SKIPPED, *STOPPED} and report.destination.get("generation") is None
    ]
    return tuple(found[-_MOST_STOPPED:])


def reasons(
    kept: KeptEntries, values: Sequence[StateRow], events: Sequence[UserEvent], unreadable: Sequence[int]
) -> tuple[str, ...]:
    """Return why the user was not sent, as far as a ledger knows, in sentences.

    Args:
        kept: its entries.
        values: the user's rows of the current state.
        events: the user's events.
        unreadable: generations whose changes cannot be read.
    """
    found = [*_absence(kept, values, events)]
    for row in values:
        found += _doubt(kept, row, [event for event in events if event.trait == row.trait])
    newest = kept.newest
    current = next((row for row in values if newest is not None and row.trait == newest.trait), None)
    if current is not None and current.delivered is True and not current.in_doubt:
        found.append("A sync leaves out a member who has true and is not in doubt, because only changes are sent.")
    if current is not None and current.delivered is False and not current.in_doubt:
        found.append("The user is no member by the last sync that compared an export, and has got false.")
    if any(stopped.outcome in STOPPED for stopped in stopped_syncs(kept)):
        found.append(
            "A guard stopped the syncs above before a plan. The ledger does not keep their exports, so it does not "
            "know whether they had a change for this user."
        )
    if unreadable:
        found.append(f"The changes of plan {', '.join(map(str, unreadable))} cannot be read, and may name this user.")
    return tuple(found)


def _absence(kept: KeptEntries, values: Sequence[StateRow], events: Sequence[UserEvent]) -> Iterator[str]:
    if values or events:
        return
    if kept.newest is None:
        yield "No sync has made a plan for this destination yet."
        return
    if (retired := kept.retirement) is not None:
        yield (
            f"The cohort was retired here at {retired.timestamp}, {_by(retired.run_label)}. A retirement sends false "
            "to all users and then purges them from the ledger."
        )
        return
    yield (
        f"The state has no value for this user ID, to the last character, and {_kept_plans(kept)} The ledger does not "
        "know what was sent before: a retirement or an erasure removes users from it, and earlier plans are deleted."
    )
    for at, run in kept.earlier_retirements:
        yield f"The cohort was retired here at {at}, {_by(run)}, which purged all users of before."
    for commit in kept.corrections:
        yield (
            f"Commit {commit.generation} of {commit.timestamp} was made {_by(commit.run_label)} without a sync, by a "
            "rollback, a healing or an erasure. If it was an erasure, it may have removed this user."
        )


def _kept_plans(kept: KeptEntries) -> str:
    if not kept.changes:
        return "the ledger keeps no plan."
    oldest = kept.changes[0]
    is_unfinished = kept.plan is not None and kept.plan.generation == oldest
    entry = kept.commits.get(oldest) or (kept.plan if is_unfinished else None)
    when = f" of {entry.timestamp}" if entry is not None else ""
    return f"no kept plan names it; the oldest kept one is plan {oldest}{when}."


def _doubt(kept: KeptEntries, row: StateRow, events: Sequence[UserEvent]) -> Iterator[str]:
    if not row.in_doubt:
        return
    trait = repr(row.trait)
    if row.rejections >= REJECTIONS_BEFORE_WAITING:
        yield (
            f"Under {trait}, {row.rejections} syncs in a row ended with this user rejected. A sync skips the user; "
            "sync_mode='full' sends it."
        )
    elif row.rejections:
        yield f"Under {trait}, the user was rejected and is in doubt. The next sync sends it again."
    elif events and all(event.outcome == ABANDONED for event in events):
        yield f"Under {trait}, only plans that were abandoned named the user. The next sync sends it again."
    elif _is_set_in_doubt(kept.newest, events):
        yield (
            f"Under {trait}, a rollback or a healing set the user in doubt, {_by(_label(kept.newest))}. The next sync "
            "sends it again."
        )
    else:
        yield (
            f"Under {trait}, the user is in doubt: it was sent, or possibly sent, and not acknowledged. The next sync, "
            "or a retry of this one, sends it again."
        )


def _is_set_in_doubt(newest: Plan | Commit | None, events: Sequence[UserEvent]) -> bool:
    is_correction = newest is not None and newest.delivered_generation != newest.generation
    return is_correction and (not events or events[-1].outcome not in {ABANDONED, REJECTED})


def _label(entry: Plan | Commit | None) -> str:
    return entry.run_label if entry is not None else ""


def _value(row: StateRow) -> str:
    value = {None: "no acknowledged value", True: "true", False: "false"}[row.delivered]
    doubt = ", in doubt" if row.in_doubt else ""
    return f"{value}{doubt}{f', rejected in {row.rejections} syncs in a row' if row.rejections else ''}"


def _event(event: UserEvent) -> str:
    outcome = event.outcome
    if outcome == REJECTED:
        status = f" with HTTP {event.status}" if event.status is not None else ""
        outcome += f"{status}: {event.reason!r}" if event.reason else status
    value = "true" if event.value else "false"
    return (
        f"{event.at or 'at an unknown time'}: plan {event.generation}, {value} under {event.trait!r}, {outcome}, "
        f"{_by(event.run)}"
    )


def _by(run: str | None) -> str:
    return f"by {_one_line(run)}" if run else "by an unknown run"


def _one_line(text: str) -> str:
    return " ".join(text.split())
