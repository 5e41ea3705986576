"""Put a guard's question to a person in Airflow's UI, and take the answer in the same try (ADR 0030).

Airflow 3.3 parks the task itself. 3.1 and 3.2 defer it to the standard provider's trigger. Neither takes a worker slot.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import quote

from airflow.providers.common.compat.sdk import conf

from airflow_provider_amplitude_segment.clients.system_clock import SystemClock
from airflow_provider_amplitude_segment.core.clock import duration
from airflow_provider_amplitude_segment.core.export.approval import Approval
from airflow_provider_amplitude_segment.core.export.run_checkpoint import delete_checkpoint_best_effort, keep_approval
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
from airflow_provider_amplitude_segment.core.report.answer import CODE_FIELD, DO_NOT_SEND, SEND_ANYWAY, read_answer
from airflow_provider_amplitude_segment.core.report.question import Question, question_from_dict
from airflow_provider_amplitude_segment.core.report.question_text import body_of, subject_of
from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.core.report.saved_answer import save_answer
from airflow_provider_amplitude_segment.exceptions import QuestionError, SettingError
from airflow_provider_amplitude_segment.task.ports import open_store
from airflow_provider_amplitude_segment.task.reporting.publish import ReportingOperator, publish_result, warn_on_failure
from airflow_provider_amplitude_segment.task.run import run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.report.answer import Answer
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

QUESTION_XCOM_KEY = "guard_question"
OPTIONS = (SEND_ANYWAY, DO_NOT_SEND)
_METHOD = "execute_approved"
_SECONDS_AFTER_ANSWER = 3600.0
"""What is left of an export's time after the answer, because a resumed task may queue for a slot."""
_FEWEST_SECONDS = 60.0


class AskingOperator(ReportingOperator, Protocol):
    """What a question needs of its operator."""

    state_path: str | None
    clock: Clock | None
    notifiers: Sequence[Callable[[Context], object]] | Callable[[Context], object] | None

    def defer(self, *, trigger: Any, method_name: str, kwargs: dict[str, Any] | None = None) -> NoReturn:
        """Raise Airflow's deferral."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was put, as the task's next call gets it.

    Attributes:
        question: what was asked.
        report: of the sync that the guard stopped.
        is_first: whether the task instance put no other question before, so that Airflow shows this one's text.
        last_answer: when the question before was answered; ``None`` for none.
    """

    question: Question
    report: SyncReport
    is_first: bool
    last_answer: str | None = None

    def as_kwargs(self) -> dict[str, Any]:
        """Return the arguments of the task's next call, in JSON's types."""
        asked = {
            "question": self.question.as_dict(),
            "report": self.report.as_dict(),
            "is_first": self.is_first,
            "last_answer": self.last_answer,
        }
        return {"asked": _listed(asked)}


def read_asked(value: Mapping[str, Any]) -> Asked:
    """Return the question that ``Asked.as_kwargs`` handed to this call."""
    destinations = tuple(DestinationReport(**each) for each in value["report"]["destinations"])
    report = SyncReport(**{**value["report"], "destinations": destinations})
    return Asked(question_from_dict(value["question"]), report, bool(value["is_first"]), value.get("last_answer"))


def check_can_ask(settings: SyncSettings) -> None:
    """Refuse ``on_guard="ask"`` where Airflow cannot ask, before an export is spent.

    Raises:
        SettingError: Airflow is older than 3.1.
    """
    if settings.on_guard == "fail":
        return
    try:
        import airflow.sdk.execution_time.hitl  # noqa: F401, PLC0415 - Airflow 3.1 and later
    except ImportError:
        from airflow import __version__ as version  # noqa: PLC0415

        raise SettingError(
            "on_guard",
            f"got 'ask', and Airflow {version} cannot ask a person; that needs Airflow 3.1",
            "'fail', whose error has the configuration that lets one sync through",
        ) from None


def put_question(operator: AskingOperator, context: Context, settings: SyncSettings, asked: Asked) -> NoReturn:
    """Put a question, call the notifiers, and leave the worker until it is answered.

    Raises:
        QuestionError: Airflow did not take the question.
    """
    ti, question = context["ti"], asked.question
    seconds = _seconds_to_answer(question, settings, (operator.clock or SystemClock()).now())
    url = _url(ti)
    shown = {
        "subject": subject_of(question),
        "body": body_of(question, duration(seconds)),
        "code": question.code,
        "options": list(OPTIONS),
        "url": url,
        "where": url or _place(ti),
    }
    _upsert(ti, shown, settings, asked)
    log.warning("Question %s is open: %s. Answer it here: %s", question.code, shown["subject"], shown["where"])
    with warn_on_failure("The question"):
        ti.xcom_push(key=QUESTION_XCOM_KEY, value=shown)
    _notify(operator, context, shown)
    wait = timedelta(seconds=seconds)
    try:
        from airflow.sdk.exceptions import TaskAwaitingInput  # noqa: PLC0415 - Airflow 3.3
    except ImportError:
        _defer(operator, ti, wait, asked)
    raise TaskAwaitingInput(method_name=_METHOD, kwargs=asked.as_kwargs(), timeout=wait)


def take_answer(
    operator: AskingOperator, context: Context, settings: SyncSettings, event: Mapping[str, Any], asked: Asked
) -> None:
    """Keep an approval in the run checkpoint; end the task, or put the question again, without one.

    Raises:
        AskableGuardError: a person answered *Do not send*, or none answered in time.
        QuestionError: the question could not be put again, or Airflow keeps the answer to the one before.
    """
    question = asked.question
    if asked.last_answer is not None and answered_at(event) == asked.last_answer:
        # Without this, the task and Airflow would repeat the old answer for ever.
        kept = "Airflow keeps the answer to an earlier question of this task"
        raise QuestionError(question.error({}).happened, kept)
    answer = read_answer(event, question.code, is_first=asked.is_first, approvers=settings.approvers)
    log.warning("Question %s: %s", question.code, answer.sentence)
    if answer.verdict == "send" and answer.user is not None:
        store, run = open_store(operator.state_path), run_of(context)
        bound = question.export_request_id, dict(question.starts), answer.user, run.clear_number, run.max_tries
        keep_approval(store, _stream(question), run, Approval(*bound))
        save_answer(store, question, asked.report, answer, SystemClock().now())
    elif answer.verdict in {"other question", "not an approver"}:
        put_question(operator, context, settings, replace(asked, is_first=False, last_answer=answered_at(event)))
    else:
        _end(operator, context, settings, answer, asked)


def answered_at(event: Mapping[str, Any]) -> str | None:
    """Return when an event's answer was given, as text; ``None`` where the event does not say."""
    at = event.get("responded_at")
    return None if at is None else str(at)


def _end(operator: AskingOperator, context: Context, settings: SyncSettings, answer: Answer, asked: Asked) -> NoReturn:
    """End the task with the guard's error. Only a cleared task runs again, and it requests a new export."""
    question = asked.question
    error = question.error(settings.run_configuration, answer.sentence)
    store = open_store(operator.state_path)
    delete_checkpoint_best_effort(store, _stream(question), run_of(context))
    ended = tuple(each if each.committed else replace(each, error=str(error)) for each in asked.report.destinations)
    report = replace(asked.report, destinations=ended)
    save_answer(store, question, report, answer, SystemClock().now())
    publish_result(operator, context, report, error=error)
    raise error


def _upsert(ti: Any, shown: Mapping[str, Any], settings: SyncSettings, asked: Asked) -> None:
    from airflow.sdk.execution_time.hitl import upsert_hitl_detail  # noqa: PLC0415 - Airflow 3.1 and later

    try:
        upsert_hitl_detail(
            ti_id=ti.id,
            options=list(OPTIONS),
            subject=shown["subject"],
            body=shown["body"],
            defaults=[DO_NOT_SEND],
            multiple=False,
            params=_form(asked.question),
            assigned_users=[{"id": name, "name": name} for name in settings.approvers] or None,
        )
    except Exception as error:
        finding = asked.question.error({}).happened
        raise QuestionError(finding, f"Airflow refused it ({type(error).__name__})") from error


def _form(question: Question) -> dict[str, dict[str, Any]]:
    """Return the form's one field: the code of the question, so that an answer names what it is about."""
    from airflow.sdk.definitions.param import Param  # noqa: PLC0415 - Airflow 3

    text = "The code of the question that you answer; change it only if the task's log has another open question"
    return {CODE_FIELD: dict(Param(question.code, type="string", description=text).serialize())}


def _defer(operator: AskingOperator, ti: Any, wait: timedelta, asked: Asked) -> NoReturn:
    from airflow.providers.standard.triggers.hitl import HITLTrigger  # noqa: PLC0415 - Airflow 3.1 and 3.2

    trigger = HITLTrigger(
        ti_id=ti.id,
        options=list(OPTIONS),
        defaults=[DO_NOT_SEND],
        params=_form(asked.question),
        multiple=False,
        timeout_datetime=datetime.now(UTC) + wait,
    )
    operator.defer(trigger=trigger, method_name=_METHOD, kwargs=asked.as_kwargs())


def _notify(operator: AskingOperator, context: Context, shown: Mapping[str, Any]) -> None:
    """Call each notifier with the context and the question in it; a failure is only a warning."""
    notifiers = operator.notifiers
    for notifier in [notifiers] if callable(notifiers) else notifiers or ():
        with warn_on_failure("A notification of the question"):
            notifier({**context, "question": dict(shown)})


def _seconds_to_answer(question: Question, settings: SyncSettings, now: float) -> float:
    """Return ``approval_timeout``, or less where the export ends before, so that an answer in time sends that export.

    >>> from airflow_provider_amplitude_segment.core.settings import SyncSettings
    >>> settings = SyncSettings(cohort_id="c1", approval_timeout=86_400)
    >>> ends = [0.0, 200_000.0, 50_000.0, 100.0]
    >>> questions = [Question("1", "c1", None, "R1", 0, 0, {}, (), sendable_until=end) for end in ends]
    >>> [_seconds_to_answer(question, settings, 0.0) for question in questions]
    [86400, 86400, 46400.0, 60.0]
    """
    if not question.sendable_until:
        return settings.approval_timeout
    left = question.sendable_until - _SECONDS_AFTER_ANSWER - now
    return min(settings.approval_timeout, max(left, _FEWEST_SECONDS))


def _url(ti: Any) -> str | None:
    """Return the page of Airflow's UI that has the question; ``None`` where this worker does not know Airflow's URL."""
    base = str(conf.get("api", "base_url", fallback=None) or "").rstrip("/")
    if not base:
        return None
    task = f"{base}/dags/{quote(ti.dag_id)}/runs/{quote(ti.run_id)}/tasks/{quote(ti.task_id)}"
    mapped = f"/mapped/{ti.map_index}" if getattr(ti, "map_index", -1) >= 0 else ""
    return f"{task}{mapped}/required_actions"


def _place(ti: Any) -> str:
    """Return where the question is, in words."""
    mapped = f", map index {ti.map_index}" if getattr(ti, "map_index", -1) >= 0 else ""
    return f"DAG {ti.dag_id!r}, run {ti.run_id!r}, task {ti.task_id!r}{mapped}, tab Required Actions"


def _stream(question: Question) -> Stream:
    """Return a stream of the question's cohort: a run's checkpoint lies beside the ledgers of all destinations."""
    return Stream(question.app_id, question.cohort_id, Destination("", ""))


def _listed(value: Any) -> Any:
    """Return a value with lists in place of tuples, because Airflow marks a tuple when it writes it."""
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value
