"""Query the task instances of syncs that run, wait or failed; many of them have no report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.state import TaskInstanceState
from sqlalchemy import JSON, and_, func, or_, select, tuple_, type_coerce, union

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.task.parameters import read_cohort_id, read_connection_ids
from airflow_provider_amplitude_segment.ui.report_xcoms import SYNC_KEY
from airflow_provider_amplitude_segment.ui.task_instances import Instance

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session

_NAMES = ("dag_id", "run_id", "task_id", "map_index")
_SYNC_OPERATORS = ("AmplitudeCohortToSegmentOperator", "AmplitudeCohortTraitRetireOperator")
# After these the report of the run is there, or nothing was to be done.
_ENDED_WELL = ("success", "skipped", "removed")
_ENDED_BADLY = ("failed", "upstream_failed")
# Named one by one, because the database has an index for that; task instances that ended well are the most.
# Airflow 3.3 is the first with `awaiting_input`.
_STATES = sorted({"awaiting_input", *(state.value for state in TaskInstanceState)} - set(_ENDED_WELL))


@dataclass(frozen=True, slots=True)
class UnreportedInstance:
    """A task instance that runs, waits or failed.

    Attributes:
        started_at: when its newest try began.
        cohort_id: that the task instance was rendered with; ``None`` where Airflow did not render it, or keeps it no
            more.
        segment_conn_ids: that it was rendered with; empty in the same cases.
        next_run_at: when Airflow creates the DAG's next run; ``None`` without a schedule, and for a paused DAG.
    """

    instance: Instance
    state: str
    try_number: int
    started_at: datetime
    cohort_id: str | None
    segment_conn_ids: tuple[str, ...]
    next_run_at: datetime | None

    @property
    def is_at_work(self) -> bool:
        """Whether it may still change by itself, or by a decision."""
        return self.state not in _ENDED_BADLY


def dags_with_syncs(session: Session) -> set[str]:
    """Return the IDs of the DAGs that have a report, or a sync that runs, waits or failed."""
    reports = select(XComModel.dag_id).where(XComModel.key == SYNC_KEY)
    syncs = select(TaskInstance.dag_id).where(
        TaskInstance.state.in_(_STATES), TaskInstance.operator.in_(_SYNC_OPERATORS)
    )
    return set(session.scalars(union(reports, syncs)))


def unreported_instances(
    session: Session, dag_ids: Collection[str], tasks: Collection[tuple[str, str]], *, limit: int
) -> list[UnreportedInstance]:
    """Return the newest task instance of each task, map index, cohort and state that is not one of a good end.

    Whether it pushed a report is not looked for here. Those of removed DAGs, and those that never started, are left
    out.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose syncs the user may read.
        tasks: pairs of DAG ID and task ID that have a report, because a task of a user's own subclass has another
            operator's name.
        limit: at most this many, the newest first.
    """
    fields = RenderedTaskInstanceFields
    its_fields = and_(*(getattr(fields, name) == getattr(TaskInstance, name) for name in _NAMES))
    # Airflow 3.1 has its own type for the column, whose JSON cannot be asked for a part.
    cohort = type_coerce(fields.rendered_fields, JSON)["cohort_id"].as_string()
    place = func.row_number().over(
        partition_by=(TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state, cohort),
        order_by=TaskInstance.start_date.desc(),
    )
    is_sync = TaskInstance.operator.in_(_SYNC_OPERATORS)
    if tasks:
        is_sync = or_(is_sync, tuple_(TaskInstance.dag_id, TaskInstance.task_id).in_(sorted(tasks)))
    newest = (
        select(TaskInstance.id, place.label("place"))
        .outerjoin(fields, its_fields)
        .where(TaskInstance.dag_id.in_(dag_ids), TaskInstance.state.in_(_STATES), is_sync)
        .where(TaskInstance.start_date.is_not(None))
        .subquery()
    )
    statement = (
        select(
            *(getattr(TaskInstance, name) for name in (*_NAMES, "state", "try_number", "start_date")),
            *(fields.rendered_fields, DagModel.is_paused, DagModel.next_dagrun_create_after),
        )
        .join(newest, newest.c.id == TaskInstance.id)
        .join(DagModel, DagModel.dag_id == TaskInstance.dag_id)
        .outerjoin(fields, its_fields)
        .where(newest.c.place == 1, DagModel.is_stale.is_(False))
        .order_by(TaskInstance.start_date.desc())
        .limit(limit)
    )
    return [_unreported(row) for row in session.execute(statement)]


def _unreported(row: Any) -> UnreportedInstance:
    return UnreportedInstance(
        Instance(row.dag_id, row.run_id, row.task_id, row.map_index),
        str(getattr(row.state, "value", row.state)),
        row.try_number,
        row.start_date,
        _cohort_id(row.rendered_fields),
        _segment_conn_ids(row.rendered_fields),
        None if row.is_paused else row.next_dagrun_create_after,
    )


def _cohort_id(rendered: object) -> str | None:
    try:
        return read_cohort_id(rendered.get("cohort_id") if isinstance(rendered, dict) else None) or None
    except SettingError:
        return None


def _segment_conn_ids(rendered: object) -> tuple[str, ...]:
    try:
        return tuple(read_connection_ids(rendered.get("segment_conn_id") if isinstance(rendered, dict) else None))
    except SettingError:
        return ()
