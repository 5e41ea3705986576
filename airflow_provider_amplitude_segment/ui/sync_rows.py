"""Make the rows of the page: one for each cohort and destination; and the runs of one row."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.ui.first_syncs import first_syncs
from airflow_provider_amplitude_segment.ui.questions import open_questions
from airflow_provider_amplitude_segment.ui.report_shapes import ShownDestination, ShownReport, read_report
from airflow_provider_amplitude_segment.ui.report_xcoms import ReportXCom, newest_reports, reports_of_cohort, utc
from airflow_provider_amplitude_segment.ui.task_instances import Instance
from airflow_provider_amplitude_segment.ui.unreported import UnreportedInstance, unreported_instances

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session

MOST_ROWS = 5_000

_NO_REPORT = ("at", "mode", "members", "entered", "exited", "rejected", "pending", "error", "approved_by")
_NO_DESTINATION = ("cohort_name", "segment_conn_id", "destination")


@dataclass(frozen=True, slots=True)
class _Part:
    """One destination of one report, and the later task instance of the cohort that runs, waits or failed."""

    xcom: ReportXCom
    report: ShownReport
    destination: ShownDestination
    unreported: UnreportedInstance | None = None

    @property
    def instance(self) -> Instance:
        return self.unreported.instance if self.unreported else _instance(self.xcom)

    @property
    def moved_at(self) -> datetime:
        return max(self.unreported.started_at, self.xcom.at) if self.unreported else self.xcom.at


def list_syncs(session: Session, dag_ids: Collection[str], with_questions: Collection[str]) -> dict[str, Any]:
    """Return the newest sync of each cohort at each destination, and the syncs without a report; newest first.

    Where a later run for the cohort runs, waits or failed without a report, the row has that run's state, and the
    counts and the time of the last report. A run that belongs to no row has a row of its own.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose reports and task instances the user may read.
        with_questions: those of them whose questions the user may read.
    """
    xcoms = newest_reports(session, dag_ids, limit=MOST_ROWS + 1)
    tasks = {(xcom.dag_id, xcom.task_id) for xcom in xcoms}
    unreported = unreported_instances(session, dag_ids, tasks, limit=MOST_ROWS + 1)
    asking = open_questions(session, with_questions)
    truncated = max(len(xcoms), len(unreported)) > MOST_ROWS
    rows = _dated_rows(list(_parts(xcoms[:MOST_ROWS])), unreported, asking)
    return {"syncs": [row for _, row in sorted(rows, key=lambda dated: dated[0], reverse=True)], "truncated": truncated}


def list_runs(
    session: Session,
    dag_ids: Collection[str],
    with_questions: Collection[str],
    *,
    cohort_id: str,
    destination: str,
    limit: int,
) -> dict[str, Any]:
    """Return the runs that synced a cohort to a destination, newest first.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose reports the user may read.
        with_questions: those of them whose questions the user may read.
        cohort_id: the cohort.
        destination: its name in the ledger.
        limit: at most this many.
    """
    asking = open_questions(session, with_questions)
    runs = (
        _run(part, asking)
        for part in _parts(reports_of_cohort(session, dag_ids, cohort_id))
        if part.report.cohort_id == cohort_id and part.destination.destination == destination
    )
    return {"runs": list(islice(runs, limit))}


def _parts(xcoms: Iterable[ReportXCom]) -> Iterator[_Part]:
    for xcom in xcoms:
        report = read_report(xcom.value)
        for destination in report.destinations if report is not None else ():
            yield _Part(xcom, report, destination)  # type: ignore[arg-type] # one with destinations is there


def _instance(xcom: ReportXCom) -> Instance:
    return Instance(xcom.dag_id, xcom.run_id, xcom.task_id, xcom.map_index)


def _is_later(one: UnreportedInstance, xcom: ReportXCom) -> bool:
    """Return whether a row says more about now by this task instance than by its last report.

    One that is at work counts also if it began before: another run has reported while it waited.
    """
    return one.instance.run_id != xcom.run_id and (one.is_at_work or one.started_at > xcom.at)


def _later_instances(parts: list[_Part], unreported: Iterable[UnreportedInstance]) -> list[list[UnreportedInstance]]:
    """Return, for each part, the task instances of its task and cohort that say more about now than its report.

    A mapped task may sync one cohort to several destinations. There, an instance belongs to the parts whose
    connection it was rendered with, and of these to the one that its own map index reported.
    """
    by_task: dict[tuple[str, str, str], list[int]] = {}
    for place, part in enumerate(parts):
        by_task.setdefault((part.xcom.dag_id, part.xcom.task_id, part.report.cohort_id), []).append(place)
    later: list[list[UnreportedInstance]] = [[] for _ in parts]
    for one in unreported:
        its = one.instance
        related = by_task.get((its.dag_id, its.task_id, one.cohort_id), []) if one.cohort_id is not None else []
        named = [place for place in related if parts[place].destination.segment_conn_id in one.segment_conn_ids]
        same_index = [place for place in named or related if parts[place].xcom.map_index == its.map_index]
        for place in same_index or named or related:
            if _is_later(one, parts[place].xcom):
                later[place].append(one)
    return [_without_others(part, ones) for part, ones in zip(parts, later, strict=True)]


def _without_others(part: _Part, ones: list[UnreportedInstance]) -> list[UnreportedInstance]:
    """Leave out the instances of a run in which there is a closer one: by its connection, then by its map index."""

    def closeness(one: UnreportedInstance) -> tuple[bool, bool]:
        is_named = part.destination.segment_conn_id in one.segment_conn_ids
        return is_named, one.instance.map_index == part.xcom.map_index

    closest: dict[str, tuple[bool, bool]] = {}
    for one in ones:
        run_id = one.instance.run_id
        closest[run_id] = max(closest.get(run_id, (False, False)), closeness(one))
    return [one for one in ones if closeness(one) == closest[one.instance.run_id]]


def _dated_rows(
    parts: list[_Part], unreported: list[UnreportedInstance], asking: Collection[Instance]
) -> list[tuple[datetime, dict[str, Any]]]:
    later_of = _later_instances(parts, unreported)
    shown = {_instance(part.xcom) for part in parts} | {one.instance for later in later_of for one in later}
    streams: dict[tuple[str, str], list[_Part]] = {}
    for part, later in zip(parts, later_of, strict=True):
        newest = max(later, key=lambda one: (one.instance in asking, one.started_at), default=None)
        stream = streams.setdefault((part.report.cohort_id, part.destination.destination), [])
        stream.append(replace(part, unreported=newest))
    rows = [_dated_row(stream, asking) for stream in streams.values()]
    reports = [(part.report.cohort_id, part.destination.segment_conn_id, part.xcom) for part in parts]
    first = first_syncs([one for one in unreported if one.instance not in shown], reports, asking)
    return rows + [(one.started_at, _first_row(one, asking)) for one in first]


def _dated_row(parts: list[_Part], asking: Collection[Instance]) -> tuple[datetime, dict[str, Any]]:
    part = max(parts, key=lambda part: (part.instance in asking, part.moved_at))
    next_runs = [one.xcom.next_run_at for one in parts if one.xcom.next_run_at is not None]
    row = {
        **_run(part, asking),
        "cohort_id": part.report.cohort_id,
        "cohort_name": part.report.cohort_name,
        "segment_conn_id": part.destination.segment_conn_id,
        "destination": part.destination.destination,
        "next_run_at": utc(min(next_runs)) if next_runs else None,
    }
    if part.unreported is not None:
        # The error and the approval are of the run that pushed the report.
        row |= {**_state_of(part.unreported, asking), "error": None, "approved_by": None}
    return part.moved_at, row


def _first_row(one: UnreportedInstance, asking: Collection[Instance]) -> dict[str, Any]:
    return {
        **dict.fromkeys((*_NO_DESTINATION, *_NO_REPORT)),
        **_state_of(one, asking),
        "cohort_id": one.cohort_id,
        "dry_run": False,
        "next_run_at": utc(one.next_run_at) if one.next_run_at else None,
    }


def _state_of(one: UnreportedInstance, asking: Collection[Instance]) -> dict[str, Any]:
    names = {"state": one.state, "try_number": one.try_number, "question_open": one.instance in asking}
    return {**asdict(one.instance), **names}


def _run(part: _Part, asking: Collection[Instance]) -> dict[str, Any]:
    counts = part.destination
    return {
        "dag_id": part.xcom.dag_id,
        "task_id": part.xcom.task_id,
        "map_index": part.xcom.map_index,
        "run_id": part.xcom.run_id,
        "try_number": part.xcom.try_number,
        "at": utc(part.xcom.at),
        "state": part.xcom.state,
        "question_open": _instance(part.xcom) in asking,
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
