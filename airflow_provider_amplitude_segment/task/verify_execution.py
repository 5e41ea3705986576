"""Run a task of the verify operator from beginning to end."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.core.verification.verification import CohortVerification, Unsettled
from airflow_provider_amplitude_segment.task.beginning import begin_task
from airflow_provider_amplitude_segment.task.errors import translate_errors
from airflow_provider_amplitude_segment.task.parameters import read_flag
from airflow_provider_amplitude_segment.task.reporting.progress import ProgressStore
from airflow_provider_amplitude_segment.task.reporting.verify_result import publish_verification
from airflow_provider_amplitude_segment.task.run import run_of
from airflow_provider_amplitude_segment.task.verify_ports import open_verify_ports
from airflow_provider_amplitude_segment.task.verify_settings import VerifyParameters, read_verify_settings
from airflow_provider_amplitude_segment.triggers.settle import SegmentSettleTrigger

if TYPE_CHECKING:
    import logging
    import threading

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifyReport

_TRIGGER_MARGIN = timedelta(minutes=5)


class VerifyOperator(VerifyParameters, Protocol):
    """What the execution of a verification needs of its operator."""

    deferrable: bool
    stop_event: threading.Event | None
    verify_report: VerifyReport | None

    @property
    def log(self) -> logging.Logger:
        """The task's logger."""

    def defer(self, *, trigger: Any, method_name: str, timeout: timedelta | None = None) -> NoReturn:
        """Raise Airflow's deferral."""


def execute_verification(operator: VerifyOperator, context: Context) -> dict[str, Any]:
    """Verify, or defer until Segment has settled; see the operator's ``execute``."""
    with translate_errors():
        waits = not read_flag("deferrable", operator.deferrable)
    return _verify(operator, context, waits=waits)


def resume_verification(operator: VerifyOperator, context: Context) -> dict[str, Any]:
    """Verify after the deferral, in a new process."""
    return _verify(operator, context, waits=True, is_settled=True)


def _verify(operator: VerifyOperator, context: Context, *, waits: bool, is_settled: bool = False) -> dict[str, Any]:
    ti = context["ti"]
    with translate_errors(), open_scratch() as scratch:
        begin_task(operator, ti)
        settings = read_verify_settings(operator)
        progress = ProgressStore(context.get("task_state_store"), ti.try_number)
        with open_verify_ports(operator, scratch) as opened:
            verification = CohortVerification(settings, run_of(context), replace(opened, show=progress.show))
            operator.stop_event = opened.stop
            try:
                outcome = progress.during(lambda: verification.run(waits=waits, is_settled=is_settled))
            except BaseException as error:
                publish_verification(operator, ti, verification.report, error)
                raise
            finally:
                operator.stop_event = None
            if not isinstance(outcome, Unsettled):
                publish_verification(operator, ti, outcome)
    if isinstance(outcome, Unsettled):
        _defer(operator, outcome)
    return outcome.as_dict()


def _defer(operator: VerifyOperator, unsettled: Unsettled) -> NoReturn:
    seconds = unsettled.seconds
    operator.log.info("Deferring for %.0f s, until Segment has processed the last messages", seconds)
    operator.defer(
        trigger=SegmentSettleTrigger(seconds=seconds, until=time.time() + seconds),
        method_name="execute_complete",
        # Twice, because a triggerer that takes over waits again where this worker's clock is ahead of its own.
        timeout=2 * timedelta(seconds=seconds) + _TRIGGER_MARGIN,
    )
