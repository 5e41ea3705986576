"""Make the rows of the page: one for each cohort and destination; and the runs of one row."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.ui.report_shapes import ShownDestination, ShownReport, read_report
from airflow_provider_amplitude_segment.ui.report_xcoms import ReportXCom, newest_reports, reports_of_cohort, utc
from airflow_provider_amplitude_segment.ui.task_instances import UnreportedInstance, unreported_instances

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class _Part:
    """One destination of one report, and the newer task instance of the task, if there is one without a report."""

    xcom: ReportXCom
    report: ShownReport
    destination: ShownDestination
    unreported: UnreportedInstance | None = None

    @property
    def moved_at(self) -> datetime:
        return self.unreported.started_at if self.unreported else self.xcom.at


def list_syncs(session: Session, dag_ids: Collection[str]) -> dict[str, Any]:
    """Return the newest sync of each cohort at each destination, newest first.

    Where a later run of the task runs, waits or failed without a report, the row has that run's state, and the
    counts and the time of the last report.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose reports the user may read.
    """
    xcoms = newest_reports(session, dag_ids, limit=MOST_ROWS + 1)
    newer = unreported_instances(session, {(xcom.dag_id, xcom.task_id) for xcom in xcoms})
    by_task: dict[tuple[str, str, str], list[UnreportedInstance]] = {}
    for one in newer:
        by_task.setdefault((one.instance.dag_id, one.instance.task_id, one.cohort_id), []).append(one)
    streams: dict[tuple[str, str], list[_Part]] = {}
    for part in _parts(xcoms[:MOST_ROWS]):
        key = (part.xcom.dag_id, part.xcom.task_id, part.report.cohort_id)
        streams.setdefault((part.report.cohort_id, part.destination.destination), []).append(
            _with_newer(part, by_task.get(key, ()))
        )
    newest_first = sorted(
        (sorted(parts, key=lambda part: part.moved_at, reverse=True) for parts in streams.values()),
        key=lambda parts: parts[0].moved_at,
        reverse=True,
    )
    return {"syncs": [_row(parts) for parts in newest_first], "truncated": len(xcoms) > MOST_ROWS}


def list_runs(
    session: Session, dag_ids: Collection[str], *, cohort_id: str, destination: str, limit: int
) -> dict[str, Any]:
    """Return the runs that synced a cohort to a destination, newest first.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose reports the user may read.
        cohort_id: the cohort.
        destination: its name in the ledger.
        limit: at most this many.
    """
    runs = (
        _run(part)
        for part in _parts(reports_of_cohort(session, dag_ids, cohort_id))
        if part.report.cohort_id == cohort_id and part.destination.destination == destination
    )
    return {"runs": list(islice(runs, limit))}


def _parts(xcoms: Iterable[ReportXCom]) -> Iterator[_Part]:
    for xcom in xcoms:
        report = read_report(xcom.value)
        for destination in report.destinations if report is not None else ():
            yield _Part(xcom, report, destination)  # type: ignore[arg-type] # one with destinations is there


def _with_newer(part: _Part, newer: Iterable[UnreportedInstance]) -> _Part:
    later = [one for one in newer if one.instance.run_id != part.xcom.run_id and one.started_at > part.xcom.at]
    newest = max(later, key=lambda one: one.started_at, default=None)
    return _Part(part.xcom, part.report, part.destination, newest)


def _row(parts: list[_Part]) -> dict[str, Any]:
    part = parts[0]
    next_runs = [one.xcom.next_run_at for one in parts if one.xcom.next_run_at is not None]
    row = {
        **_run(part),
        "cohort_id": part.report.cohort_id,
        "cohort_name": part.report.cohort_name,
        "segment_conn_id": part.destination.segment_conn_id,
        "destination": part.destination.destination,
        "next_run_at": utc(min(next_runs)) if next_runs else None,
    }
    if part.unreported is not None:
        # The error and the approval are of the run that pushed the report.
        later = part.unreported
        row |= {"map_index": later.instance.map_index, "run_id": later.instance.run_id, "state": later.state}
        row |= {"try_number": later.try_number, "error": None, "approved_by": None}
    return row


def _run(part: _Part) -> dict[str, Any]:
    counts = part.destination
    return {
        "dag_id": part.xcom.dag_id,
        "task_id": part.xcom.task_id,
        "map_index": part.xcom.map_index,
        "run_id": part.xcom.run_id,
        "try_number": part.xcom.try_number,
        "at": utc(part.xcom.at),
        "state": part.xcom.state,
        "mode": counts.mode,
        "members": counts.known,
        "entered": counts.entered,
        "exited": counts.exited,
        "rejected": counts.rejected,
        "pending": counts.pending,
        "dry_run": part.report.dry_run,
        "error": counts.error,
        "approved_by": counts.approved_by,
    }
