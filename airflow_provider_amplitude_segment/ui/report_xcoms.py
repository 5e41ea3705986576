"""Query the XComs ``sync_report`` of the DAGs that a user may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, func, or_, select

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy.orm import Session

# Equal to task/reporting/xcom.py and task/reporting/verify_result.py, whose imports an API server does not need.
SYNC_KEY = "sync_report"
VERIFY_KEY = "verify_report"

_ROWS_AT_A_TIME = 200
_MOST_READ_FOR_A_HISTORY = 5_000


@dataclass(frozen=True, slots=True)
class ReportXCom:
    """One XCom, with the task instance that pushed it.

    Attributes:
        at: when it was pushed, which is at the end of a try.
        next_run_at: when Airflow creates the DAG's next run; ``None`` without a schedule, and for a paused DAG.
        value: as Airflow stores it, unchecked.
    """

    dag_id: str
    task_id: str
    map_index: int
    run_id: str
    state: str | None
    try_number: int | None
    at: datetime
    next_run_at: datetime | None
    value: object


def dags_with_reports(session: Session) -> set[str]:
    """Return the IDs of the DAGs that have a report."""
    return set(session.scalars(select(XComModel.dag_id).where(XComModel.key == SYNC_KEY).distinct()))


def newest_reports(session: Session, dag_ids: Collection[str], *, limit: int) -> list[ReportXCom]:
    """Return the newest report for each task, map index and cohort, newest first; DAGs that were removed have none.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose reports the user may read.
        limit: at most this many.
    """
    place = func.row_number().over(
        partition_by=(XComModel.dag_id, XComModel.task_id, XComModel.map_index, _cohort_id()),
        order_by=(XComModel.timestamp.desc(), XComModel.dag_run_id.desc()),
    )
    # Without the values, because a database sorts the rows of this query.
    placed = (
        select(XComModel.dag_run_id, XComModel.task_id, XComModel.map_index, place.label("place"))
        .where(XComModel.key == SYNC_KEY, XComModel.dag_id.in_(dag_ids))
        .subquery()
    )
    statement = (
        _reports()
        .join(
            placed,
            and_(
                placed.c.dag_run_id == XComModel.dag_run_id,
                placed.c.task_id == XComModel.task_id,
                placed.c.map_index == XComModel.map_index,
            ),
        )
        .where(placed.c.place == 1, XComModel.key == SYNC_KEY, DagModel.is_stale.is_(False))
        .order_by(XComModel.timestamp.desc())
        .limit(limit)
    )
    return [_report(row) for row in session.execute(statement)]


def reports_of_cohort(session: Session, dag_ids: Collection[str], cohort_id: str) -> Iterator[ReportXCom]:
    """Yield the reports that may be of a cohort, newest first, those of removed DAGs too.

    A report that Airflow stored as text is yielded for every cohort, because a database does not look into it.
    """
    cohort = _cohort_id()
    statement = (
        _reports()
        .where(
            XComModel.key == SYNC_KEY,
            XComModel.dag_id.in_(dag_ids),
            or_(cohort == cohort_id, cohort.is_(None)),
        )
        .order_by(XComModel.timestamp.desc())
        .limit(_MOST_READ_FOR_A_HISTORY)
        .execution_options(yield_per=_ROWS_AT_A_TIME)
    )
    for row in session.execute(statement):
        yield _report(row)


def utc(moment: datetime) -> str:
    """Return a moment as ISO-8601 in UTC, with a ``Z``."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)  # noqa: UP017 - as Airflow
    return aware.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")  # noqa: UP017


def _cohort_id() -> Any:
    """Return the SQL of the report's cohort; NULL where the value is no JSON object."""
    return XComModel.value["cohort_id"].as_string()


def _reports() -> Any:
    return (
        select(
            XComModel.dag_id,
            XComModel.task_id,
            XComModel.map_index,
            XComModel.run_id,
            TaskInstance.state,
            TaskInstance.try_number,
            XComModel.timestamp,
            DagModel.next_dagrun_create_after,
            DagModel.is_paused,
            XComModel.value,
        )
        .select_from(XComModel)
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == XComModel.dag_id,
                TaskInstance.task_id == XComModel.task_id,
                TaskInstance.run_id == XComModel.run_id,
                TaskInstance.map_index == XComModel.map_index,
            ),
        )
        .join(DagModel, DagModel.dag_id == XComModel.dag_id)
    )


def _report(row: Any) -> ReportXCom:
    return ReportXCom(
        dag_id=row.dag_id,
        task_id=row.task_id,
        map_index=row.map_index,
        run_id=row.run_id,
        state=None if row.state is None else str(getattr(row.state, "value", row.state)),
        try_number=row.try_number,
        at=row.timestamp,
        next_run_at=None if row.is_paused else row.next_dagrun_create_after,
        value=row.value,
    )
