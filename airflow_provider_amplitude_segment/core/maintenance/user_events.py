"""What happened to one user in the plans that a ledger keeps."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine.database import disk_reason
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, rejected_file
from airflow_provider_amplitude_segment.core.maintenance.hidden_reason import hide_user_id
from airflow_provider_amplitude_segment.core.maintenance.user_rows import (
    ChangeRow,
    RejectedRow,
    StateRow,
    change_rows,
    rejected_rows,
    rows_after,
    state_rows,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
    from airflow_provider_amplitude_segment.core.ledger.stream import Store
    from airflow_provider_amplitude_segment.core.maintenance.kept_entries import KeptEntries

ACKNOWLEDGED, REJECTED, PENDING, ABANDONED = "acknowledged", "rejected", "pending", "abandoned"


@dataclass(frozen=True, slots=True)
class UserEvent:
    """A change that a plan had for the user.

    Attributes:
        generation: of the plan.
        at: ISO 8601; ``None`` where the ledger does not have it any more.
        run: for a reader; ``None`` where the ledger does not have it.
        trait: the trait key.
        value: the value to send.
        outcome: ``acknowledged``; ``rejected``; ``pending``: neither, and the plan is the newest; ``abandoned``: its
            plan did not end, and how far it came is only in the state.
        status: HTTP status of a rejection; ``None`` where the message was not sent.
        reason: of a rejection; a sentence in its place where it may quote the user ID.
    """

    generation: int
    at: str | None
    run: str | None
    trait: str
    value: bool
    outcome: str
    status: int | None = None
    reason: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SearchedLedger:
    """A ledger in which one user is searched.

    Attributes:
        store: where it is.
        ledger: its folder.
        kept: its entries.
        scratch: a folder on this machine.
        user_id: of the user.
    """

    store: Store
    ledger: Ledger
    kept: KeptEntries
    scratch: Path
    user_id: str = field(repr=False)

    def current_rows(self, engine: duckdb.DuckDBPyConnection) -> list[StateRow]:
        """Return the user's rows of the current state.

        Raises:
            LedgerDamagedError: a file is missing or has another checksum.
        """
        newest = self.kept.newest
        if isinstance(newest, Commit):
            return state_rows(engine, self.ledger.load_file(newest.snapshot, self.scratch / "state"), self.user_id)
        if newest is None:
            return []
        base = self.ledger.load_file(newest.base, self.scratch / "state") if newest.base else None
        changes, journal = self._journaled(engine, newest)
        return rows_after(
            state_rows(engine, base, self.user_id), changes, {p: outcome for p, (outcome, _) in journal.items()}
        )

    def events(self, engine: duckdb.DuckDBPyConnection) -> tuple[list[UserEvent], list[int]]:
        """Return the user's events, the oldest first, and the generations whose changes cannot be read."""
        events: list[UserEvent] = []
        unreadable = []
        for generation in self.kept.changes:
            try:
                events += self._events_of(engine, generation)
            except duckdb.Error as error:
                if disk_reason(error):
                    raise
                unreadable.append(generation)
        return events, unreadable

    def _events_of(self, engine: duckdb.DuckDBPyConnection, generation: int) -> list[UserEvent]:
        plan, commit = self.kept.plan, self.kept.commits.get(generation)
        if plan is not None and plan.generation == generation:
            changes, journal = self._journaled(engine, plan)
            event = UserEvent(generation, plan.timestamp, plan.run_label or None, "", value=False, outcome=PENDING)
            return [
                self._explained(replace(event, trait=row.trait, value=row.value, outcome=outcome), why)
                for row in changes
                for outcome, why in [journal[row.position]]
            ]
        changes = self._changes(engine, generation)
        if not changes:
            return []
        if commit is None:
            report = self.kept.report_of(generation)
            at, run = (report.written_at, report.run) if report else (None, None)
            return [UserEvent(generation, at, run, row.trait, row.value, ABANDONED) for row in changes]
        rejected = self._rejected(engine, commit)
        event = UserEvent(generation, commit.timestamp, commit.run_label or None, "", value=False, outcome=ACKNOWLEDGED)
        return [
            self._explained(
                replace(
                    event,
                    trait=row.trait,
                    value=row.value,
                    outcome=REJECTED if row.trait in rejected else ACKNOWLEDGED,
                ),
                rejected.get(row.trait),
            )
            for row in changes
        ]

    def _journaled(
        self, engine: duckdb.DuckDBPyConnection, plan: Plan
    ) -> tuple[list[ChangeRow], dict[int, tuple[str, RejectedRow | None]]]:
        """Return the user's changes in the newest plan, and by position the outcome with its reason."""
        file = self.ledger.load_file(plan.changes, self.scratch / "changes")
        changes, journal = change_rows(engine, file, self.user_id), self.ledger.journal(plan)
        outcomes: dict[int, tuple[str, RejectedRow | None]] = {}
        for row in changes:
            if any(first <= row.position <= last for first, last in journal.acked.pairs):
                outcomes[row.position] = (ACKNOWLEDGED, None)
            elif (rejection := journal.rejected.get(row.position)) is not None:
                outcomes[row.position] = (REJECTED, RejectedRow(rejection.status, rejection.reason))
            else:
                outcomes[row.position] = (PENDING, None)
        return changes, outcomes

    def _changes(self, engine: duckdb.DuckDBPyConnection, generation: int) -> list[ChangeRow]:
        copy = self.scratch / "changes"
        name = ObjectName("changes", generation)
        is_there = self.store.get_file(f"{self.ledger.folder}/{name}", copy)
        return change_rows(engine, copy, self.user_id) if is_there else []

    def _rejected(self, engine: duckdb.DuckDBPyConnection, commit: Commit) -> dict[str, RejectedRow]:
        """Return why changes of a committed plan were rejected, by trait key; a lost list leaves the reason unknown."""
        if not commit.report.get("rejected"):
            return {}
        copy = self.scratch / "rejected"
        listed: dict[str, RejectedRow] = {}
        try:
            if self.store.get_file(f"{self.ledger.folder}/{rejected_file(commit.generation)}", copy):
                listed = rejected_rows(engine, copy, self.user_id)
        except (csv.Error, UnicodeDecodeError, KeyError):
            pass
        # The snapshot after a plan has in doubt what it had rejected, so that a list that a person changed hides none.
        snapshot = self.ledger.load_file(commit.snapshot, self.scratch / "after")
        in_doubt = {row.trait for row in state_rows(engine, snapshot, self.user_id) if row.in_doubt}
        return {trait: listed.get(trait, RejectedRow(None, "")) for trait in in_doubt}

    def _explained(self, event: UserEvent, why: RejectedRow | None) -> UserEvent:
        if why is None:
            return event
        # Only a commit has the list; before it, the reason stands in the journal.
        is_listed = event.generation in self.kept.commits
        where = f"{rejected_file(event.generation)}, column reason" if is_listed else "the journal of this plan"
        return replace(event, status=why.status, reason=hide_user_id(why.reason, self.user_id, where) or None)
