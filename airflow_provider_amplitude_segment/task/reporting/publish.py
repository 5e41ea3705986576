"""The account of a try: what Airflow, its reader and its neighbours are told when a sync has ended, well or not.

The report and the generations for later syncs; then the log's summary, metrics, and the assets' events. A failure of
any of them is a warning, as the sync is what it is by then: an error that ended it leaves as it is.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.summary import summarize
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from airflow_provider_amplitude_segment.task.reporting.assets import fill_asset_events
from airflow_provider_amplitude_segment.task.reporting.metrics import count_sync
from airflow_provider_amplitude_segment.task.reporting.xcom import (
    REPORT_XCOM_KEY,
    find_changed,
    push_announced,
    push_generations,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.report.report import SyncReport
    from airflow_provider_amplitude_segment.task.reporting.lineage import LineageMixin

log = logging.getLogger(__name__)

_Outcome = TypeVar("_Outcome")


def publish_result(
    operator: LineageMixin,
    context: Context,
    report: SyncReport,
    *,
    report_at_start: SyncReport | None = None,
    skipped: str | None = None,
    error: BaseException | None = None,
    skips_unchanged: bool = False,
) -> str | None:
    """Tell of a try that has ended.

    :param operator: has ``outlets``, connections, and keeps the report for lineage.
    :param context: Airflow's.
    :param report: as the try left it.
    :param report_at_start: as it was when the try began to work; none: nothing was sent before.
    :param skipped: why nothing was told, on purpose.
    :param error: what ended it.
    :param skips_unchanged: a sync without news ends skipped.
    :return: why the task is to be skipped, if it is.
    """
    ti = context["ti"]
    operator.sync_report = report
    with _in_passing("The report"):
        ti.xcom_push(key=REPORT_XCOM_KEY, value=report.as_dict())
    with _in_passing("The generation"):
        push_generations(ti, report)
    news = report.destinations
    if error is None and skipped is None and skips_unchanged and not report.dry_run:
        with _in_passing("Whether there is news"):
            news = find_changed(ti, report)
            push_announced(ti, report)
        if not news:
            skipped = "nobody moved (skip_when_unchanged)"
    with _in_passing("The summary"):
        for line in summarize(report, ending=_ending(report, skipped, error)):
            log.info("%s", line)
    with _in_passing("Metrics"):
        count_sync(report, report_at_start, ending="failed" if error else "skipped" if skipped else "succeeded")
    if error is None and skipped is None:
        with _in_passing("The assets' events"):
            fill_asset_events(operator, context, report, news)
    return skipped


class Sync(Protocol):
    """What there is to tell of: ``CohortSync``, or another one that leaves a report."""

    @property
    def report(self) -> SyncReport:
        """How far the try came."""
        ...

    @property
    def report_at_start(self) -> SyncReport:
        """What the report was when the try began to work."""
        ...


def run_and_publish(
    operator: LineageMixin, context: Context, sync: Sync, run: Callable[[], _Outcome], *, skips_unchanged: bool = False
) -> _Outcome | Skipped:
    """Run a sync, and give the account of how it ended. A try that is to be resumed has not ended.

    :return: the outcome; ``Skipped`` also where there is no news.
    """
    try:
        outcome = run()
    except BaseException as error:
        publish_result(operator, context, sync.report, report_at_start=sync.report_at_start, error=error)
        raise
    if isinstance(outcome, ExportIncomplete):
        return outcome
    skipped = outcome.reason if isinstance(outcome, Skipped) else None
    reason = publish_result(
        operator,
        context,
        sync.report,
        report_at_start=sync.report_at_start,
        skipped=skipped,
        skips_unchanged=skips_unchanged,
    )
    return outcome if reason is None else Skipped(reason)


def _ending(report: SyncReport, skipped: str | None, error: BaseException | None) -> str:
    if skipped is not None:
        return f"skipped, as {skipped}. Nothing was sent."
    if error is None:
        return "done. Nothing was sent: a dry run." if report.dry_run else "done."
    if report.destinations and all(told.committed for told in report.destinations):
        return "everything is delivered and saved, but the task fails for what is said below."
    if isinstance(error, AmplitudeSegmentError) and not error.retryable:
        return "FAILED, and a retry would not help: see the error below."
    export = ", with the same export" if report.export_request_id else ""
    return f"FAILED. What is acknowledged is remembered; a retry goes on from there{export}."


@contextmanager
def _in_passing(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the sync has ended as it has; telling of it changes nothing
        log.warning("%s could not be told: %s", what, type(error).__name__)
