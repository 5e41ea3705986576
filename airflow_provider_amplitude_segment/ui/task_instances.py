"""Query task instances: the newest of each task, and the one that a tab is on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, func, select, tuple_

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.task.parameters import read_cohort_id

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session

# After these the report of the run is there, or nothing was to be done.
_ENDED_WELL = ("success", "skipped", "removed")


@dataclass(frozen=True, slots=True)
class Instance:
    """Names one task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True, slots=True)
class UnreportedInstance:
    """A task instance that runs, waits or failed, with the cohort that it was rendered with."""

    instance: Instance
    state: str
    try_number: int
    started_at: datetime
    cohort_id: str


def unreported_instances(session: Session, tasks: Collection[tuple[str, str]]) -> list[UnreportedInstance]:
    """Return the newest instance of each task and map index that did not end well.

    Its report, if it pushed one, is not looked for here.

    Args:
        session: of the metadata database.
        tasks: pairs of DAG ID and task ID.
    """
    if not tasks:
        return []
    place = func.row_number().over(
        partition_by=(TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.map_index),
        order_by=TaskInstance.start_date.desc(),
    )
    newest = (
        select(TaskInstance.id, place.label("place"))
        .where(
            tuple_(TaskInstance.dag_id, TaskInstance.task_id).in_(sorted(tasks)), TaskInstance.start_date.is_not(None)
        )
        .subquery()
    )
    fields = RenderedTaskInstanceFields
    statement = (
        select(
            *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index),
            *(TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date, fields.rendered_fields),
        )
        .join(newest, newest.c.id == TaskInstance.id)
        .join(
            fields,
            and_(
                fields.dag_id == TaskInstance.dag_id,
                fields.run_id == TaskInstance.run_id,
                fields.task_id == TaskInstance.task_id,
                fields.map_index == TaskInstance.map_index,
            ),
        )
        .where(newest.c.place == 1, TaskInstance.state.is_not(None), TaskInstance.state.not_in(_ENDED_WELL))
    )
    found = [_unreported(row) for row in session.execute(statement)]
    return [instance for instance in found if instance is not None]


def find_instance(session: Session, instance: Instance) -> Any:
    """Return ``id``, ``state``, ``try_number``, ``operator`` and ``next_method`` of a task instance, or ``None``."""
    columns = (TaskInstance.id, TaskInstance.state, TaskInstance.try_number, TaskInstance.operator)
    statement = select(*columns, TaskInstance.next_method).where(
        TaskInstance.dag_id == instance.dag_id,
        TaskInstance.run_id == instance.run_id,
        TaskInstance.task_id == instance.task_id,
        TaskInstance.map_index == instance.map_index,
    )
    return session.execute(statement).one_or_none()


def xcoms_of(session: Session, instance: Instance, keys: Collection[str]) -> dict[str, tuple[object, datetime]]:
    """Return, by key, the value and the time of a task instance's XComs."""
    statement = select(XComModel.key, XComModel.value, XComModel.timestamp).where(
        XComModel.dag_id == instance.dag_id,
        XComModel.run_id == instance.run_id,
        XComModel.task_id == instance.task_id,
        XComModel.map_index == instance.map_index,
        XComModel.key.in_(keys),
    )
    return {row.key: (row.value, row.timestamp) for row in session.execute(statement)}


def _unreported(row: Any) -> UnreportedInstance | None:
    rendered = row.rendered_fields
    try:
        cohort_id = read_cohort_id(rendered.get("cohort_id") if isinstance(rendered, dict) else None)
    except SettingError:
        return None
    return UnreportedInstance(
        Instance(row.dag_id, row.run_id, row.task_id, row.map_index),
        str(getattr(row.state, "value", row.state)),
        row.try_number,
        row.start_date,
        cohort_id,
    )
