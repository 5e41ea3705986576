"""What a sync tells of itself: counts and names, never a user ID."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, StatePathError, XComValueError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.ledger.entry import PlanMode
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Store, Stream


@dataclass(frozen=True, slots=True)
class DestinationReport:
    """One destination's part. ``planned == acknowledged + rejected + pending``; with ``pending`` left it has failed.

    Attributes:
        segment_conn_id: the connection.
        destination: its name in the ledger.
        mode: ``incremental``, ``full`` or ``retire``.
        trait: the trait key told.
        entered: members newly told ``true``.
        exited: former members told ``false``.
        retired: users told ``false`` under an earlier trait key.
        changed: members told again, as a user property has another value than was told.
        unchanged: members who were told ``true`` before, for certain.
        in_doubt: users told again, as an earlier answer was lost or a refusal.
        planned: identifies of the plan.
        acknowledged: those that Segment answered with 200.
        rejected: those refused for good in this plan.
        skipped: users refused in three syncs, outside ``planned``, left until ``full``.
        pending: those not acknowledged.
        batches: requests that Segment acknowledged, in this try.
        retries: requests sent again, in this try.
        seconds: that telling took, in this try.
        generation: of the plan in the ledger; ``None`` where none was written.
        follows: generation of the commit that this sync starts from, 0 where nothing was told before; ``None`` where
            it starts from a plan that was not finished.
        committed: whether the ledger holds the state after this sync.
        known: users who are ``true`` under the trait after this sync, for certain; ``None`` before it is committed.
        error: what ended it, for a reader.
        planned_changes: where a dry run left its file.
        rejected_users: where the refused users and the reasons are.
    """

    segment_conn_id: str
    destination: str
    mode: str
    trait: str | None = None
    entered: int = 0
    exited: int = 0
    retired: int = 0
    changed: int = 0
    unchanged: int = 0
    in_doubt: int = 0
    planned: int = 0
    acknowledged: int = 0
    rejected: int = 0
    skipped: int = 0
    pending: int = 0
    batches: int = 0
    retries: int = 0
    seconds: float = 0.0
    generation: int | None = None
    follows: int | None = None
    committed: bool = False
    known: int | None = None
    error: str | None = None
    planned_changes: str | None = None
    rejected_users: str | None = None

    def with_counts(self, counts: Mapping[str, int]) -> DestinationReport:
        """Return it with a plan's counts, by their names here."""
        return replace(
            self,
            entered=counts["entered"],
            exited=counts["exited"],
            retired=counts["retired"],
            # A plan of before there were properties does not count it.
            changed=counts.get("changed", 0),
            unchanged=counts["unchanged"],
            in_doubt=counts["in_doubt"],
            skipped=counts["skipped"],
        )

    def moves(self) -> str:
        """Return who moves, as a line for the log."""
        again = self.changed + self.in_doubt
        retired = f"{self.retired:,} told false under an earlier trait key, " if self.retired else ""
        return (
            f"{self.segment_conn_id}: {self.entered:,} entered, {self.exited:,} exited, {retired}{again:,} told again; "
            f"{self.unchanged:,} unchanged, {self.skipped:,} skipped; trait {self.trait!r}"
        )


@dataclass(frozen=True, slots=True)
class SyncReport:
    """A sync of one cohort to one or more destinations.

    Attributes:
        cohort_id: Amplitude's cohort ID.
        cohort_name: as Amplitude lists it.
        cohort_size: members that Amplitude lists, anonymous ones included; ``None`` where it never counted.
        export_request_id: Amplitude's ID of the export.
        rows: users in the export, with and without an ID; ``None`` before it was read.
        members: distinct user IDs.
        anonymous: rows without a user ID: skipped.
        duplicates: rows that repeat a user ID.
        exports_left: exports left this month by Amplitude's count before this one; ``None`` where it was not asked, or
            did not tell.
        dry_run: nothing was sent on purpose.
        destinations: one report each.
    """

    cohort_id: str
    cohort_name: str | None = None
    cohort_size: int | None = None
    export_request_id: str | None = None
    rows: int | None = None
    members: int | None = None
    anonymous: int | None = None
    duplicates: int | None = None
    exports_left: int | None = None
    dry_run: bool = False
    destinations: tuple[DestinationReport, ...] = field(default=())

    def with_destination(self, report: DestinationReport) -> SyncReport:
        """Return it with a destination's report in place of an earlier one of the same destination."""
        kept = [report if d.destination == report.destination else d for d in self.destinations]
        if report not in kept:
            kept.append(report)
        return replace(self, destinations=tuple(kept))

    def export_counts(self) -> dict[str, int | None]:
        """Return what the export cost and its file came to, by the names here."""
        return {
            "rows": self.rows,
            "members": self.members,
            "anonymous": self.anonymous,
            "duplicates": self.duplicates,
            "exports_left": self.exports_left,
        }

    def destination(self, name: str) -> DestinationReport:
        """Return the report of the destination called ``name`` in the ledger."""
        return next(report for report in self.destinations if report.destination == name)

    def serialize(self) -> NoReturn:
        """Refuse to be returned from a task: Airflow calls this when it writes an XCom.

        Raises:
            XComValueError: Always; the task that would read it fails otherwise, without a word of why.
        """
        raise XComValueError("SyncReport", "report.as_dict()")

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON's types, for an XCom."""
        return {**asdict(self), "destinations": [asdict(report) for report in self.destinations]}


log = logging.getLogger(__name__)


def complete_report(
    report: SyncReport, destinations: Sequence[Destination], mode: PlanMode, error: BaseException | None
) -> SyncReport:
    """Return the report with an entry for each destination, and the error where it is not committed."""
    known = {entry.destination for entry in report.destinations}
    for destination in destinations:
        if destination.name not in known:
            report = report.with_destination(DestinationReport(destination.segment_conn_id, destination.name, mode))
        entry = report.destination(destination.name)
        if error is not None and entry.error is None and not entry.committed:
            report = report.with_destination(replace(entry, error=error_text(error)))
    return report


def error_text(error: BaseException) -> str:
    """Return what may be told of an error: the text of one that is not ours may quote anything, so only its name."""
    return str(error) if isinstance(error, AmplitudeSegmentError) else type(error).__name__


def save_report(store: Store, report: SyncReport, claims: Mapping[Stream, int]) -> None:
    """Write ``reports/<claim>.json`` for each stream still claimed; the sync's end does not hang on it."""
    for stream, generation in claims.items():
        try:
            Ledger(store, stream.folder).put_report(generation, report.as_dict())
        except StatePathError as error:
            log.warning("The report could not be kept: %s", error)
