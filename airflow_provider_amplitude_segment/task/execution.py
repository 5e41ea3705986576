"""Run a task of an operator from beginning to end."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.question import Question
from airflow_provider_amplitude_segment.core.retirement import CohortRetirement
from airflow_provider_amplitude_segment.core.sync import CohortSync
from airflow_provider_amplitude_segment.exceptions import ExportTimeoutError, ExportWaitError
from airflow_provider_amplitude_segment.links.task_links import push_found_debuggers
from airflow_provider_amplitude_segment.task.approval import (
    Asked,
    AskingOperator,
    answered_at,
    check_can_ask,
    put_question,
    read_asked,
    take_answer,
)
from airflow_provider_amplitude_segment.task.beginning import begin_task
from airflow_provider_amplitude_segment.task.errors import translate_errors
from airflow_provider_amplitude_segment.task.parameters import read_flag
from airflow_provider_amplitude_segment.task.ports import open_delivery_ports, open_sync_ports
from airflow_provider_amplitude_segment.task.reporting.progress import ProgressStore
from airflow_provider_amplitude_segment.task.reporting.publish import ReportingOperator, run_and_publish
from airflow_provider_amplitude_segment.task.reporting.xcom import pull_generations
from airflow_provider_amplitude_segment.task.run import configuration_of, run_of
from airflow_provider_amplitude_segment.task.settings import (
    DestinationParameters,
    SyncParameters,
    read_app_id,
    read_retire_settings,
    read_settings,
)
from airflow_provider_amplitude_segment.task.state_path import state_place
from airflow_provider_amplitude_segment.triggers.amplitude import AmplitudeCohortExportTrigger

if TYPE_CHECKING:
    import logging
    import threading
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

_TRIGGER_MARGIN = timedelta(minutes=5)


class StoppableOperator(ReportingOperator, Protocol):
    """An operator whose ``on_kill`` sets an event."""

    stop_event: threading.Event | None


class SyncOperator(SyncParameters, StoppableOperator, AskingOperator, Protocol):
    """What the execution of a sync needs of its operator."""

    deferrable: bool

    @property
    def log(self) -> logging.Logger:
        """The task's logger."""

    def defer(
        self,
        *,
        trigger: Any,
        method_name: str,
        kwargs: dict[str, Any] | None = None,
        timeout: timedelta | None = None,
    ) -> NoReturn:
        """Raise Airflow's deferral."""


class RetireOperator(DestinationParameters, StoppableOperator, Protocol):
    """What the execution of a retirement needs of its operator."""

    app_id: str | int | None


def execute_sync(operator: SyncOperator, context: Context) -> dict[str, Any]:
    """Sync, or defer until the export is complete; see the sync operator's ``execute``."""
    with translate_errors():
        begin_task(operator, context["ti"])
        wait_for_export = not read_flag("deferrable", operator.deferrable)
    return _sync(operator, context, wait_for_export=wait_for_export)


def resume_sync(operator: SyncOperator, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
    """Resume a sync after its deferral, in a new process, from the run's checkpoint."""
    with translate_errors():
        begin_task(operator, context["ti"])
        wait_error = _wait_error(operator, event)
    return _sync(operator, context, wait_for_export=True, wait_error=wait_error)


def resume_asked(
    operator: SyncOperator, context: Context, event: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Resume a sync after a person answered its guard's question, in a new process, from the run's checkpoint."""
    with translate_errors():
        begin_task(operator, context["ti"])
        take_answer(operator, context, _read(operator, context), event, read_asked(asked))
    return _sync(operator, context, wait_for_export=True, last_answer=answered_at(event) or "")


def execute_retirement(operator: RetireOperator, context: Context) -> dict[str, Any]:
    """Retire a cohort; see the retire operator's ``execute``."""
    with translate_errors(), open_scratch() as scratch:
        begin_task(operator, context["ti"])
        settings = replace(read_retire_settings(operator), run_configuration=configuration_of(context))
        app_id = read_app_id(operator.app_id)
        progress = ProgressStore(context.get("task_state_store"), context["ti"].try_number)
        with open_delivery_ports(operator, settings, scratch) as opened, _stoppable(operator, opened):
            ports = _showing(opened, progress, context["ti"])
            recorded = pull_generations(context["ti"], settings.cohort_id, ports.segment_clients)
            retirement = CohortRetirement(settings, run_of(context), ports, app_id=app_id, recorded=recorded)
            run_and_publish(operator, context, retirement, lambda: progress.during(retirement.run))
            return retirement.report.as_dict()


def _wait_error(operator: SyncOperator, event: Mapping[str, Any]) -> AmplitudeSegmentError | None:
    """Return the retryable error of the trigger's event, which may hold anything; ``None`` where the task polls.

    An error that is not retryable returns ``None`` too, because the worker polls Amplitude again and raises it then.
    """
    request_id = str(event.get("request_id") or "")
    match event.get("status"):
        case "timeout":
            last_status = str(event.get("last_status") or "nothing")
            return ExportTimeoutError(request_id, read_settings(operator).export_timeout, last_status)
        case "error" if event.get("retryable"):
            return ExportWaitError(request_id, str(event.get("message")))
        case _:
            return None


def _sync(
    operator: SyncOperator,
    context: Context,
    *,
    wait_for_export: bool,
    wait_error: AmplitudeSegmentError | None = None,
    last_answer: str | None = None,
) -> dict[str, Any]:
    with translate_errors(), open_scratch() as scratch:
        settings = _read(operator, context)
        progress = ProgressStore(context.get("task_state_store"), context["ti"].try_number)
        with open_sync_ports(operator, settings, scratch) as opened, _stoppable(operator, opened.delivery):
            ports = replace(opened, delivery=_showing(opened.delivery, progress, context["ti"]))
            recorded = pull_generations(context["ti"], settings.cohort_id, ports.delivery.segment_clients)
            sync = CohortSync(settings, run_of(context), ports, recorded=recorded)
            outcome = run_and_publish(
                operator,
                context,
                sync,
                lambda: progress.during(lambda: sync.run(wait_for_export=wait_for_export, wait_error=wait_error)),
                skips_unchanged=settings.skip_when_unchanged,
            )
    if isinstance(outcome, ExportIncomplete):
        _defer(operator, settings, outcome)
    if isinstance(outcome, Question):
        # A later try may have a question of an earlier one, whose text Airflow keeps.
        is_first = last_answer is None and context["ti"].try_number == 1
        with translate_errors():
            put_question(operator, context, settings, Asked(outcome, sync.report, is_first, last_answer))
    if isinstance(outcome, Skipped):
        raise AirflowSkipException(f"Nothing was sent: {outcome.reason}.")
    return outcome.as_dict()


def _read(operator: SyncOperator, context: Context) -> SyncSettings:
    settings = replace(read_settings(operator), run_configuration=configuration_of(context))
    check_can_ask(settings)
    return settings


def _showing(ports: DeliveryPorts, progress: ProgressStore, ti: Any) -> DeliveryPorts:
    """Return the ports with what shows the task's progress, and the links to the sources that it finds."""
    return replace(ports, show=progress.show, show_sources=partial(push_found_debuggers, ti))


@contextmanager
def _stoppable(operator: StoppableOperator, ports: DeliveryPorts) -> Iterator[None]:
    """Let the operator's ``on_kill`` stop the delivery in this block."""
    operator.stop_event = ports.stop
    try:
        yield
    finally:
        operator.stop_event = None


def _defer(operator: SyncOperator, settings: SyncSettings, outcome: ExportIncomplete) -> NoReturn:
    operator.log.info("Deferring until export %s is complete", outcome.request_id)
    operator.defer(
        trigger=AmplitudeCohortExportTrigger(
            amplitude_conn_id=str(operator.amplitude_conn_id).strip(),
            request_id=outcome.request_id,
            poll_interval=settings.poll_interval,
            export_timeout=settings.export_timeout,
            state_place=state_place(operator.state_path),
            claims=dict(outcome.claims),
        ),
        method_name="execute_complete",
        # The trigger times out earlier by itself. This time-out ends a deferral without a triggerer, or a trigger that
        # was restarted and counts from zero.
        timeout=timedelta(seconds=settings.export_timeout) + _TRIGGER_MARGIN,
    )
