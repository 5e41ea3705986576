"""Rows of Airflow 3's metadata database: DAGs, runs, task instances, XComs, questions, progress."""

from __future__ import annotations

import importlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import String, delete, insert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

BUNDLE = "cohort-syncs-test"
NOON = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


def _new_id() -> object:
    # A text in Airflow 3.1.
    number = uuid.uuid4()
    return str(number) if isinstance(TaskInstance.id.type, String) else number


@dataclass
class Try:
    """A task instance, and the XComs that it pushed."""

    dag_id: str
    task_id: str = "sync"
    map_index: int = -1
    day: int = 0
    state: str = "success"
    operator: str = "AmplitudeCohortToSegmentOperator"
    xcoms: Mapping[str, object] = field(default_factory=dict)
    rendered: Mapping[str, object] | None = None
    next_method: str | None = None
    id: object = field(default_factory=_new_id)

    @property
    def run_id(self) -> str:
        return f"scheduled__{self.day}"

    @property
    def started_at(self) -> datetime:
        return NOON + timedelta(days=self.day)

    @property
    def pushed_at(self) -> datetime:
        return self.started_at + timedelta(minutes=5)


def report(cohort_id: str = "c1", *destinations: Mapping[str, object], **more: object) -> dict[str, Any]:
    """Return a sync's report as it is in an XCom; a destination has the given fields and those of a small sync."""
    return {
        "cohort_id": cohort_id,
        "cohort_name": f"Cohort {cohort_id}",
        "members": 10,
        "dry_run": False,
        "destinations": [destination(**one) for one in destinations or ({},)],
        **more,
    }


def destination(**more: object) -> dict[str, object]:
    small: dict[str, object] = {"segment_conn_id": "segment_default", "destination": "d1", "mode": "changes"}
    return {**small, "entered": 3, "exited": 1, "known": 10, "committed": True, **more}


def write(session: Session, tries: Iterable[Try], *, dags: Mapping[str, Mapping[str, object]] | None = None) -> None:
    """Write tries with their DAGs and runs; ``dags`` has columns of a DAG other than the usual."""
    tries = list(tries)
    bundles = importlib.import_module("airflow.models.dagbundle").DagBundleModel
    session.merge(bundles(name=BUNDLE))
    session.flush()
    dag_ids = sorted({one.dag_id for one in tries})
    usual = {
        "bundle_name": BUNDLE,
        "is_paused": False,
        "is_stale": False,
        "fileloc": "/dags/x.py",
        "max_active_tasks": 9,
    }
    session.add_all(DagModel(**{**usual, "dag_id": one, **(dags or {}).get(one, {})}) for one in dag_ids)
    session.flush()
    runs = sorted({(one.dag_id, one.run_id, one.started_at) for one in tries})
    session.execute(insert(DagRun.__table__), [_run(*run) for run in runs])
    numbers = {(row.dag_id, row.run_id): row.id for row in session.query(DagRun.dag_id, DagRun.run_id, DagRun.id)}
    session.execute(insert(TaskInstance.__table__), [_instance(one) for one in tries])
    xcoms = [_xcom(one, key, numbers[one.dag_id, one.run_id]) for one in tries for key in one.xcoms]
    if xcoms:
        session.execute(insert(XComModel.__table__), xcoms)
    rendered = [{**_names(one), "rendered_fields": dict(one.rendered)} for one in tries if one.rendered is not None]
    if rendered:
        session.execute(insert(RenderedTaskInstanceFields.__table__), rendered)
    session.commit()


def write_question(session: Session, one: Try, **response: object) -> None:
    """Write the question that a task instance asks, whose code is ``A1B2C3``, and the response to it."""
    model = importlib.import_module("airflow.models.hitl").HITLDetail
    form = {"question": {"value": "A1B2C3", "description": "The code", "schema": {"type": "string"}}}
    asked = {"subject": "Send 40 exits?", "body": "| a |", "options": ["Send anyway", "Do not send"], "params": form}
    session.execute(insert(model.__table__).values(ti_id=one.id, created_at=NOON, params_input={}, **asked, **response))
    session.commit()


def write_progress(session: Session, one: Try, value: object) -> None:
    """Write what a task instance keeps in the task state store of Airflow 3.3."""
    model = importlib.import_module("airflow.models.task_state_store").TaskStateStoreModel
    number = session.query(DagRun.id).filter_by(dag_id=one.dag_id, run_id=one.run_id).scalar()
    session.execute(
        insert(model.__table__).values(
            dag_run_id=number, key="amplitude_segment_progress", value=json.dumps(value), updated_at=NOON, **_names(one)
        )
    )
    session.commit()


def forget_all(session: Session) -> None:
    """Delete everything that this module writes."""
    for model in (XComModel, RenderedTaskInstanceFields, TaskInstance, DagRun, DagModel):
        session.execute(delete(model.__table__))
    session.commit()


def _names(one: Try) -> dict[str, object]:
    return {"dag_id": one.dag_id, "task_id": one.task_id, "run_id": one.run_id, "map_index": one.map_index}


def _run(dag_id: str, run_id: str, at: datetime) -> dict[str, object]:
    same = {"run_type": "scheduled", "state": "success", "clear_number": 0}
    return {**same, "dag_id": dag_id, "run_id": run_id, "run_after": at, "logical_date": at, "start_date": at}


def _instance(one: Try) -> dict[str, object]:
    same = {"pool": "default_pool", "pool_slots": 1, "try_number": 1, "max_tries": 2}
    own = {"id": one.id, "state": one.state, "operator": one.operator, "start_date": one.started_at}
    return {**same, **own, "next_method": one.next_method, **_names(one)}


def _xcom(one: Try, key: str, number: int) -> dict[str, object]:
    return {**_names(one), "dag_run_id": number, "key": key, "value": one.xcoms[key], "timestamp": one.pushed_at}
