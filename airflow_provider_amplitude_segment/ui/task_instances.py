"""Query the task instance that a tab is on, and its XComs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Instance:
    """Names one task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


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
