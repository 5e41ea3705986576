"""Read the questions of guards: the one of a task instance, and which task instances have one that is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import and_, or_, select

from airflow_provider_amplitude_segment.ui.report_shapes import read_object, text
from airflow_provider_amplitude_segment.ui.report_xcoms import utc
from airflow_provider_amplitude_segment.ui.task_instances import Instance

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy.orm import Session

# Equal to task/approval.py and core/report/answer.py, whose imports an API server does not need.
QUESTION_KEY = "guard_question"
_METHOD = "execute_approved"
_CODE_FIELD = "question"

_LONGEST_BODY = 50_000


@dataclass(frozen=True, slots=True)
class _Put:
    """A question as it was put, without the response."""

    subject: str
    body: str | None
    code: str | None
    at: datetime | None


def open_questions(session: Session, dag_ids: Collection[str]) -> set[Instance]:
    """Return the task instances that wait for a decision.

    Args:
        session: of the metadata database.
        dag_ids: the DAGs whose questions the user may read.
    """
    names = (TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
    # Airflow keeps the row of a question over clears and retries, and after a person sets a state: the state decides.
    waits = or_(
        TaskInstance.state == "awaiting_input",
        and_(TaskInstance.state == "deferred", TaskInstance.next_method == _METHOD),
    )
    statement = (
        select(*names)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(TaskInstance.dag_id.in_(dag_ids), waits, HITLDetail.responded_at.is_(None))
    )
    return {Instance(*row) for row in session.execute(statement)}


def read_question(session: Session, found: Any, xcom: tuple[object, datetime] | None) -> dict[str, Any] | None:
    """Return the question that a task instance asked last, and the response to it; ``None`` if it asked none.

    Args:
        session: of the metadata database.
        found: the task instance, by ``find_instance``.
        xcom: value and time of the XCom ``guard_question``; ``None`` where this try put no question.
    """
    columns = (HITLDetail.subject, HITLDetail.body, HITLDetail.options, HITLDetail.params, HITLDetail.created_at)
    response = (HITLDetail.chosen_options, HITLDetail.responded_by, HITLDetail.responded_at)
    row = session.execute(select(*columns, *response).where(HITLDetail.ti_id == found.id)).one_or_none()
    if row is None:
        return None
    form_code = _form_code(row.params)
    # Airflow keeps the text and the time of the first question; the XCom has those of the one that was put last.
    put = _read_put(xcom) or _Put(row.subject, row.body, form_code, row.created_at)
    return {
        "open": row.responded_at is None and _waits(found),
        "subject": put.subject,
        "body": put.body,
        "code": put.code,
        "form_code": form_code,
        "options": list(row.options or ()),
        "created_at": utc(put.at) if put.at else None,
        "response": _response(row) if row.responded_at else None,
    }


def _waits(found: Any) -> bool:
    """Return what the statement of ``open_questions`` asks of a task instance."""
    state = str(getattr(found.state, "value", found.state))
    return state == "awaiting_input" or (state == "deferred" and found.next_method == _METHOD)


def _read_put(xcom: tuple[object, datetime] | None) -> _Put | None:
    value, at = xcom or (None, None)
    raw = read_object(value)
    subject = text(raw, "subject")
    return None if subject is None else _Put(subject, text(raw, "body", longest=_LONGEST_BODY), text(raw, "code"), at)


def _form_code(params: object) -> str | None:
    """Return the code that Airflow's form holds: a field is there bare, or as a parameter with its schema."""
    raw = read_object(params)
    field = None if raw is None else raw.get(_CODE_FIELD)
    return text(raw, _CODE_FIELD) if isinstance(field, str) else text(read_object(field), "value")


def _response(row: Any) -> dict[str, Any]:
    user = row.responded_by if isinstance(row.responded_by, dict) else {}
    return {
        "chosen": list(row.chosen_options or ()),
        "by": text(user, "name") or text(user, "id"),
        "at": utc(row.responded_at),
    }
