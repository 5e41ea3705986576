"""Report a sync in counts and names, never with a user ID."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.pruning import prune_reports
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    GuardError,
    StatePathError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.export.run_checkpoint import ExportSource
    from airflow_provider_amplitude_segment.core.ledger.entry import PlanMode
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run, Store, Stream


@dataclass(frozen=True, slots=True)
class DestinationReport:
    """One destination's part. ``planned == acknowledged + rejected + pending``; it failed if some are ``pending``.

    Attributes:
        segment_conn_id: the connection.
        destination: its name in the ledger.
        mode: ``incremental``, ``full`` or ``retire``.
        trait: the trait key that is sent.
        entered: members who are sent ``true`` because the state does not have it.
        exited: former members who are sent ``false``.
        retired: users who are sent ``false`` under an earlier trait key.
        changed: members who are sent again because a user property changed.
        unchanged: members with ``true`` in the state, not in doubt.
        in_doubt: users who are sent again because a response was lost or the user was rejected.
        planned: identifies of the plan.
        acknowledged: identifies that Segment responded to with 200.
        rejected: identifies that Segment, or a size limit, rejected.
        skipped: users rejected in three syncs, not in ``planned``, and sent only by ``full``.
        pending: identifies neither acknowledged nor rejected.
        batches: requests that Segment acknowledged, in this try.
        retries: requests sent again, in this try.
        seconds: duration of the delivery, in this try.
        generation: of the plan in the ledger; ``None`` if none was written.
        follows: generation of the commit that this sync starts from; 0 for a first sync; ``None`` if it starts from an
            unfinished plan.
        committed: whether the ledger has the state after this sync.
        known: users with ``true`` under the trait after this sync, not in doubt; ``None`` before the commit.
        error: what ended the sync of this destination, for a reader.
        planned_changes: location of the file that a dry run, or a guard, wrote.
        rejected_users: location of the file with the rejected users and the reasons.
        events_planned: events of entries and exits in the plan; 0 where ``events`` is off.
        events_acknowledged: events that Segment responded to with 200.
        events_rejected: events that Segment, or a size limit, rejected; of a rejected identify, no event is sent.
        source_checked: whether Segment's Public API knows the write key: ``proved``, or ``unknown`` if it could not be
            asked or did not say it; ``None`` if it was not asked, or refuted the key (``error``).
        approved_by: user name of the person who let this sync through a guard; ``None`` if no guard stopped it.
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
    source_checked: str | None = None
    approved_by: str | None = None
    events_planned: int = 0
    events_acknowledged: int = 0
    events_rejected: int = 0

    def with_counts(self, counts: Mapping[str, int]) -> DestinationReport:
        """Return the report with a plan's counts, which have the names of its fields."""
        return replace(
            self,
            entered=counts["entered"],
            exited=counts["exited"],
            retired=counts["retired"],
            # A plan of a version without properties lacks it.
            changed=counts.get("changed", 0),
            unchanged=counts["unchanged"],
            in_doubt=counts["in_doubt"],
            skipped=counts["skipped"],
            events_planned=counts.get("events_planned", 0),
        )

    def changes_line(self) -> str:
        """Return the counts of the comparison as a log line."""
        retired = f"{self.retired:,} sent false under an earlier trait key, " if self.retired else ""
        events = f"; {self.events_planned:,} events" if self.events_planned else ""
        return (
            f"{self.segment_conn_id}: {self.entered:,} entered, {self.exited:,} exited, {retired}"
            f"{self.changed:,} changed, {self.in_doubt:,} in doubt; "
            f"{self.unchanged:,} unchanged, {self.skipped:,} skipped; trait {self.trait!r}{events}"
        )


@dataclass(frozen=True, slots=True)
class SyncReport:
    """A sync of one cohort to one or more destinations.

    Attributes:
        cohort_id: Amplitude's cohort ID.
        cohort_name: as Amplitude lists it.
        cohort_size: members that Amplitude lists, anonymous ones included; ``None`` if Amplitude has not counted them.
            With cohort files, as listed when the run chose its set.
        export_request_id: Amplitude's ID of the export, or the ID of the set of cohort files.
        rows: users in the export, with and without an ID; ``None`` before the export is read.
        members: distinct user IDs.
        anonymous: rows without a user ID, which are skipped.
        duplicates: rows that repeat a user ID.
        exports_left: exports left this month by Amplitude's count before this one; ``None`` if unknown.
        dry_run: whether nothing was sent on purpose.
        export_source: where the members come from: ``api`` or ``files``.
        nothing_new: whether every destination had synced this set of cohort files before.
        destinations: a report for each.
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
    export_source: ExportSource = "api"
    nothing_new: bool = False
    destinations: tuple[DestinationReport, ...] = field(default=())

    def with_destination(self, report: DestinationReport) -> SyncReport:
        """Return the report with a destination's report added or replaced."""
        kept = [report if d.destination == report.destination else d for d in self.destinations]
        if report not in kept:
            kept.append(report)
        return replace(self, destinations=tuple(kept))

    def export_counts(self) -> dict[str, int | None]:
        """Return the counts of the export, by the names of the fields."""
        return {
            "rows": self.rows,
            "members": self.members,
            "anonymous": self.anonymous,
            "duplicates": self.duplicates,
            "exports_left": self.exports_left,
        }

    def destination(self, name: str) -> DestinationReport:
        """Return the report of the destination with this name in the ledger."""
        return next(report for report in self.destinations if report.destination == name)

    def serialize(self) -> NoReturn:
        """Refuse to be written to an XCom; Airflow calls this when a task returns the report.

        Raises:
            XComValueError: always, because otherwise the task that reads the XCom fails without a reason.
        """
        raise XComValueError("SyncReport", "report.as_dict()")

    def as_dict(self) -> dict[str, Any]:
        """Return the report in JSON's types, for an XCom."""
        return {**asdict(self), "destinations": [asdict(report) for report in self.destinations]}


log = logging.getLogger(__name__)


def complete_report(
    report: SyncReport, destinations: Sequence[Destination], mode: PlanMode, error: BaseException | None
) -> SyncReport:
    """Return the report with an entry for each destination, and the error in each that is not committed."""
    known = {entry.destination for entry in report.destinations}
    for destination in destinations:
        if destination.name not in known:
            report = report.with_destination(DestinationReport(destination.segment_conn_id, destination.name, mode))
        entry = report.destination(destination.name)
        if error is not None and entry.error is None and not entry.committed:
            report = report.with_destination(replace(entry, error=error_text(error)))
    return report


def error_text(error: BaseException) -> str:
    """Return the text of this package's error; only the class name of another, whose text may quote user IDs."""
    return str(error) if isinstance(error, AmplitudeSegmentError) else type(error).__name__


def run_facts(run: Run, now: float, error: BaseException | None, question: str | None = None) -> dict[str, Any]:
    """Return what a saved report says of its try, beside the report's fields.

    Args:
        run: whose try it was.
        now: seconds since 1970.
        error: what ended it; ``None`` where it ended well, or asks a person.
        question: that a guard asks a person, as ``SavedReport`` has it; ``None`` where it does not.
    """
    return {
        "run": run.label,
        "try": run.try_number,
        "written_at": timestamp(now),
        "ended_by": None if error is None else type(error).__name__,
        "guard": question is not None or isinstance(error, GuardError),
        "question": question,
        "answered_by": None,
    }


def save_report(
    store: Store, report: SyncReport, claims: Mapping[Stream, int], facts: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Write ``reports/<claim>.json`` for each stream still claimed, and delete old ones; a failure is only a warning.

    Args:
        store: where the ledgers are.
        report: of the try.
        claims: by stream, the generation of the claim that is held.
        facts: ``run_facts``, which stand in the file beside the report's fields.
    """
    for stream, generation in claims.items():
        ledger = Ledger(store, stream.folder)
        try:
            ledger.put_report(generation, {**report.as_dict(), **facts})
            prune_reports(ledger, generation)
        except StatePathError as error:
            log.warning("The report could not be saved: %s", error.happened)
