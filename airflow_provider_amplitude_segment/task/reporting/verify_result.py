"""Publish the result of a verification, whether it succeeded or failed.

The order: the report, the log's summary, the metrics. Where one of them fails, a warning is logged, because the
verification itself has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.core.verification.verify_summary import summarize_verification
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, MismatchError
from airflow_provider_amplitude_segment.task.reporting.publish import log, warn_on_failure
from airflow_provider_amplitude_segment.task.reporting.verify_metrics import count_verification

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifyReport

VERIFY_REPORT_XCOM_KEY = "verify_report"


class VerifyReportingOperator(Protocol):
    """What publishing needs of an operator."""

    verify_report: VerifyReport | None


def publish_verification(
    operator: VerifyReportingOperator, ti: Any, report: VerifyReport, error: BaseException | None = None
) -> None:
    """Publish the result of a try that has ended.

    :param operator: keeps the report for lineage.
    :param ti: the task instance.
    :param report: as the try left it.
    :param error: what ended the try.
    """
    operator.verify_report = report
    with warn_on_failure("The report"):
        ti.xcom_push(key=VERIFY_REPORT_XCOM_KEY, value=report.as_dict())
    with warn_on_failure("The summary"):
        for line in summarize_verification(report, ending=_ending(error)):
            log.info("%s", line)
    with warn_on_failure("Metrics"):
        count_verification(report, has_failed=error is not None)


def _ending(error: BaseException | None) -> str:
    if error is None:
        return "done."
    if isinstance(error, MismatchError):
        return "FAILED: Segment differs from the ledger. See the error below."
    if isinstance(error, AmplitudeSegmentError) and not error.retryable:
        return "FAILED. A retry does not help: see the error below."
    return "FAILED. A retry verifies again."
