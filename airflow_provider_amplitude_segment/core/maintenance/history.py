"""The history of a cohort: its syncs with their counts, for each destination, from the ledger alone.

A saved report is one try. A commit without one is added: that of a rollback, a healing or an erasure, and that of a
sync whose report could not be saved.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.report.saved_report import COMMITTED, read_saved_reports
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.report.saved_report import SavedReport

CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One try of a sync or a retirement at one destination, or a commit without a sync.

    Attributes:
        ledger: its folder.
        segment_conn_id: the connection.
        at: when it ended, ISO 8601; for a commit without a report its timestamp; ``None`` where unknown.
        outcome: ``committed``, ``stopped by a guard``, ``failed``, ``skipped``, ``dry run``; where a guard asked a
            person, ``asked a person`` before an answer, then ``approved``, ``declined`` or ``not answered``; or
            ``corrected`` for a rollback, a healing or an erasure.
        mode: ``incremental``, ``full`` or ``retire``; ``None`` for a correction.
        members: distinct user IDs of the export; ``None`` where none was read.
        known: users with ``true`` after it, not in doubt; ``None`` before a commit.
        entered, exited, rejected, pending: as in the report.
        approved_by: who let it through a guard; ``None`` where no person was asked.
        answered_by: who answered the guard's question, also with *Do not send*; ``None`` for none.
        claim: generation of its claim.
        try_number: of its run; ``None`` where unknown.
        run: for a reader; ``None`` where unknown.
        error: what ended it.
    """

    ledger: str
    segment_conn_id: str | None
    at: str | None
    outcome: str
    mode: str | None
    members: int | None
    known: int | None
    entered: int | None
    exited: int | None
    rejected: int | None
    pending: int | None
    approved_by: str | None
    answered_by: str | None
    claim: int
    try_number: int | None
    run: str | None
    error: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the row in JSON's types."""
        return asdict(self)


COLUMNS = tuple(column.name for column in fields(HistoryRow))

_COUNTS = ("known", "entered", "exited", "rejected", "pending", "approved_by", "mode", "segment_conn_id", "error")


def read_history(store: Store, streams: Sequence[Stream], limit: int) -> list[HistoryRow]:
    """Return the newest ``limit`` rows of each ledger, the oldest first.

    Raises:
        StatePathError: the store failed.
    """
    rows: list[HistoryRow] = []
    for stream in streams:
        ledger = Ledger(store, stream.folder)
        commits = {}
        for generation in ledger.commits():
            # One that a sync prunes meanwhile, or that is damaged, has no row.
            with suppress(LedgerDamagedError, LedgerFormatError):
                commit = ledger.commit(generation)
                commits[commit.claim] = commit
        reports = {report.claim: report for report in read_saved_reports(ledger, limit)}
        found = [
            _row_of_report(ledger.folder, reports[claim], commits.get(claim))
            if claim in reports
            else _row_of_commit(ledger.folder, commits[claim])
            for claim in sorted(reports.keys() | commits.keys())
        ]
        rows += found[-limit:]
    return rows


def _row_of_report(folder: str, report: SavedReport, commit: Commit | None) -> HistoryRow:
    return HistoryRow(
        ledger=folder,
        at=report.written_at or (commit.timestamp if commit is not None else None),
        outcome=report.outcome,
        members=report.members,
        answered_by=report.answered_by or report.destination.get("approved_by"),
        claim=report.claim,
        try_number=report.try_number,
        run=report.run or _run_of(commit),
        **_counts(report.destination),
    )


def _row_of_commit(folder: str, commit: Commit) -> HistoryRow:
    counts = _counts(commit.report)
    counts["segment_conn_id"] = commit.segment_conn_id
    return HistoryRow(
        ledger=folder,
        at=commit.timestamp,
        outcome=COMMITTED if commit.report else CORRECTED,
        members=None,
        answered_by=commit.approved_by,
        claim=commit.claim,
        try_number=None,
        run=_run_of(commit),
        **counts,
    )


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: report.get(name) for name in _COUNTS}


def _run_of(commit: Commit | None) -> str | None:
    return (commit.run_label or None) if commit is not None else None
