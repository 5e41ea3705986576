"""Make what the tab of a task instance shows: its report, its progress, its question and its files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from airflow_provider_amplitude_segment.ui.questions import QUESTION_KEY, read_question
from airflow_provider_amplitude_segment.ui.report_shapes import (
    ShownReport,
    ShownVerification,
    count,
    number,
    read_object,
    read_report,
    read_verification,
    text,
)
from airflow_provider_amplitude_segment.ui.report_xcoms import SYNC_KEY, VERIFY_KEY, utc
from airflow_provider_amplitude_segment.ui.task_instances import Instance, find_instance, xcoms_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

# Equal to task/reporting/progress.py.
_PROGRESS_KEY = "amplitude_segment_progress"

_KINDS = {
    "AmplitudeCohortToSegmentOperator": "sync",
    "AmplitudeCohortTraitRetireOperator": "retirement",
    "SegmentCohortVerifyOperator": "verification",
}
_FILES = ("planned_changes", "rejected_users", "mismatched_users")


def task_details(session: Session, instance: Instance, *, with_question: bool) -> dict[str, Any] | None:
    """Return what the tab shows, ``{"kind": "other"}`` for a task of another operator, ``None`` for no task instance.

    Args:
        session: of the metadata database.
        instance: names the task instance.
        with_question: whether the user may read the questions of the DAG.
    """
    found = find_instance(session, instance)
    if found is None:
        return None
    xcoms = xcoms_of(session, instance, (SYNC_KEY, VERIFY_KEY, QUESTION_KEY))
    report = read_report(xcoms[SYNC_KEY][0]) if SYNC_KEY in xcoms else None
    verification = read_verification(xcoms[VERIFY_KEY][0]) if VERIFY_KEY in xcoms else None
    kind = _kind(found.operator, report, verification)
    if kind == "other":
        return {"kind": kind}
    shown = verification if kind == "verification" else report
    return {
        "kind": kind,
        "state": None if found.state is None else str(getattr(found.state, "value", found.state)),
        "try_number": found.try_number,
        "report": None if report is None else {**asdict(report), "at": utc(xcoms[SYNC_KEY][1])},
        "verify_report": None if verification is None else {**asdict(verification), "at": utc(xcoms[VERIFY_KEY][1])},
        "progress": _progress(session, instance),
        "question": read_question(session, found, xcoms.get(QUESTION_KEY)) if with_question else None,
        "error": next((part.error for part in shown.destinations if part.error), None) if shown else None,
        "files": list(_files(shown)) if shown else [],
    }


def _kind(operator: str | None, report: ShownReport | None, verification: ShownVerification | None) -> str:
    """Return the kind by the operator's class; a subclass of a user's is known by its report."""
    kind = _KINDS.get(operator or "")
    if kind is not None:
        return kind
    if report is not None and report.destinations:
        return "retirement" if report.destinations[0].mode == "retire" else "sync"
    return "verification" if verification is not None and verification.destinations else "other"


def _files(shown: ShownReport | ShownVerification) -> Iterator[dict[str, str]]:
    for part in shown.destinations:
        for what in _FILES:
            location = getattr(part, what, None)
            if location is not None:
                yield {"what": what, "segment_conn_id": part.segment_conn_id, "location": location}


def _progress(session: Session, instance: Instance) -> dict[str, Any] | None:
    """Return the progress of a try that has not succeeded, which Airflow keeps from 3.3 on."""
    try:
        from airflow.models.task_state_store import TaskStateStoreModel  # noqa: PLC0415 - Airflow 3.3 is the first
    except ImportError:
        return None
    statement = select(TaskStateStoreModel.value).where(
        TaskStateStoreModel.dag_id == instance.dag_id,
        TaskStateStoreModel.run_id == instance.run_id,
        TaskStateStoreModel.task_id == instance.task_id,
        TaskStateStoreModel.map_index == instance.map_index,
        TaskStateStoreModel.key == _PROGRESS_KEY,
    )
    raw = read_object(session.scalar(statement))
    if raw is None:
        return None
    parts = raw.get("destinations")
    destinations = [
        {
            "segment_conn_id": str(name)[:250],
            **{field: count(part, field) for field in ("delivered", "planned")},
            **{field: number(part, field) for field in ("per_second", "seconds_left")},
        }
        for name, part in (parts.items() if isinstance(parts, dict) else ())
        if isinstance(part, dict)
    ]
    return {
        "step": text(raw, "step"),
        "try_number": count(raw, "try_number"),
        "at": text(raw, "at"),
        "destinations": destinations,
    }
