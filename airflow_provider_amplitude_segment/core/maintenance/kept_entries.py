"""What a ledger keeps of its past, read without a claim: the newest plan, commits, changes and reports.

Pruning deletes a plan's entry and its journal when a newer plan exists, but keeps its changes after the oldest kept
commit. So the outcome of an older plan is that of its commit, and of its list of rejected users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.entry_order import entries_of
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, objects_of
from airflow_provider_amplitude_segment.core.report.saved_report import read_saved_reports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
    from airflow_provider_amplitude_segment.core.report.saved_report import SavedReport

REPORTS_READ = 50
"""Reports read of each ledger, the newest, because each is a request to the store."""


@dataclass(frozen=True, slots=True)
class KeptEntries:
    """The entries of one ledger, at one moment.

    Attributes:
        newest: the entry with the state; ``None`` before the first plan.
        plan: the newest plan, which is the only one whose journal is kept; ``None`` where there is none.
        commits: by generation.
        changes: generations of the kept files of changes, the oldest first.
        reports: the newest ones, the oldest first.
    """

    newest: Plan | Commit | None
    plan: Plan | None
    commits: Mapping[int, Commit]
    changes: tuple[int, ...]
    reports: tuple[SavedReport, ...]

    @property
    def corrections(self) -> list[Commit]:
        """The commits that no sync made: of a rollback, a healing or an erasure."""
        return [commit for commit in self.commits.values() if not commit.report]

    @property
    def retirement(self) -> Commit | None:
        """The newest commit, where it is that of a retirement, which purges the ledger."""
        newest = self.newest
        return newest if isinstance(newest, Commit) and newest.report.get("mode") == "retire" else None

    @property
    def earlier_retirements(self) -> list[tuple[str | None, str | None]]:
        """When, and by which run, retirements ended that a commit or a report is kept of, the oldest first."""
        found = {c.claim: (c.timestamp, c.run_label or None) for c in self.commits.values() if _is_retirement(c.report)}
        reported = {r.claim: (r.written_at, r.run) for r in self.reports if _is_retirement(r.destination)}
        return [when for _, when in sorted({**reported, **found}.items())]

    def report_of(self, generation: int) -> SavedReport | None:
        """Return the last report of a plan's tries; ``None`` where none was read."""
        return next((r for r in reversed(self.reports) if r.destination.get("generation") == generation), None)


def read_kept_entries(ledger: Ledger) -> KeptEntries:
    """Return what a ledger keeps.

    Raises:
        LedgerDamagedError: an entry cannot be read, or was pruned meanwhile.
        LedgerFormatError: an entry has another format.
        StatePathError: the store failed.
    """
    names = ledger.names()
    entries = entries_of(names)
    commits = {name.generation: ledger.commit(name.generation) for name in entries if name.kind == "commit"}
    plan = None
    for name in [entry for entry in entries if entry.kind == "plan"][-1:]:
        entry = ledger.entry(name)
        plan = entry if isinstance(entry, Plan) else None
    newest: Plan | Commit | None = plan
    if entries and entries[-1].kind == "commit":
        newest = commits[entries[-1].generation]
    changes = tuple(name.generation for name in objects_of(names, "changes") if _is_planned(name, plan, commits))
    return KeptEntries(newest, plan, commits, changes, tuple(read_saved_reports(ledger, REPORTS_READ)))


def _is_retirement(report: Mapping[str, Any]) -> bool:
    return report.get("mode") == "retire" and bool(report.get("committed", True))


def _is_planned(name: ObjectName, plan: Plan | None, commits: Mapping[int, Commit]) -> bool:
    """Return whether changes belong to a plan: those after the newest plan have none, and were never sent."""
    return name.generation <= max([plan.generation if plan is not None else 0, *commits])
