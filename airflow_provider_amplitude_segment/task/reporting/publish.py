"""Publish the result of a try, whether it succeeded or failed.

The order: the report and the generations for later syncs, the log's summary, the metrics, the assets' events. Where one
of them fails, a warning is logged, because the sync itself has ended. An error that ended the sync is raised unchanged.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.question import Question
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

    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

log = logging.getLogger(__name__)

_Outcome = TypeVar("_Outcome")


class ReportingOperator(Protocol):
    """What publishing needs of an operator."""

    sync_report: SyncReport | None


def publish_result(
    operator: ReportingOperator,
    context: Context,
    report: SyncReport,
    *,
    report_at_start: SyncReport | None = None,
    skipped: str | None = None,
    error: BaseException | None = None,
    skips_unchanged: bool = False,
) -> str | None:
    """Publish the result of a try that has ended.

    :param operator: has ``outlets`` and connections; keeps the report for lineage.
    :param context: Airflow's.
    :param report: as the try left it.
    :param report_at_start: as it was when the try began; ``None``: no earlier try sent anything.
    :param skipped: the reason where nothing was sent on purpose.
    :param error: what ended the try.
    :param skips_unchanged: skip the task after a sync without changes.
    :return: the reason to skip the task, or ``None``.
    """
    operator.sync_report = report
    _push_report(context["ti"], report)
    changed = report.destinations
    if error is None and skipped is None and skips_unchanged and not report.dry_run:
        changed = _announce_changed(context["ti"], report)
        if not changed:
            skipped = "no changes (skip_when_unchanged)"
    with warn_on_failure("The summary"):
        for line in summarize(report, ending=_ending(report, skipped, error)):
            log.info("%s", line)
    with warn_on_failure("Metrics"):
        count_sync(report, report_at_start, ending="failed" if error else "skipped" if skipped else "succeeded")
    if error is None and skipped is None:
        with warn_on_failure("The assets' events"):
            fill_asset_events(operator, context, report, changed)
    return skipped


def _push_report(ti: Any, report: SyncReport) -> None:
    with warn_on_failure("The report"):
        ti.xcom_push(key=REPORT_XCOM_KEY, value=report.as_dict())
    with warn_on_failure("The generation"):
        push_generations(ti, report)


def _announce_changed(ti: Any, report: SyncReport) -> tuple[DestinationReport, ...]:
    """Return the destinations with changes, and record these as announced; after a failure return all destinations."""
    changed = report.destinations
    with warn_on_failure("Which destinations changed"):
        changed = find_changed(ti, report)
        push_announced(ti, report)
    return changed


class Sync(Protocol):
    """A sync or a retirement, which has a report."""

    @property
    def report(self) -> SyncReport:
        """The report as the try left it."""

    @property
    def report_at_start(self) -> SyncReport:
        """The report when the try began."""


def run_and_publish(
    operator: ReportingOperator,
    context: Context,
    sync: Sync,
    run: Callable[[], _Outcome],
    *,
    skips_unchanged: bool = False,
) -> _Outcome | Skipped:
    """Run a sync and publish its result, unless the task leaves the worker to wait for the export or for an answer.

    :return: the outcome of ``run``, or ``Skipped`` after a sync without changes.
    """
    try:
        outcome = run()
    except BaseException as error:
        publish_result(operator, context, sync.report, report_at_start=sync.report_at_start, error=error)
        raise
    if isinstance(outcome, ExportIncomplete):
        return outcome
    if isinstance(outcome, Question):
        # The sync has not ended; the page shows what is asked.
        _push_report(context["ti"], sync.report)
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
        return f"skipped: {skipped}. Nothing was sent."
    if error is None:
        return "done. Nothing was sent: a dry run." if report.dry_run else "done."
    if report.destinations and all(destination.committed for destination in report.destinations):
        return "all changes are delivered and saved, but the task fails: see the error below."
    if isinstance(error, AmplitudeSegmentError) and not error.retryable:
        return "FAILED. A retry does not help: see the error below."
    export = ", with the same export" if report.export_request_id else ""
    return f"FAILED. Acknowledged changes are saved; a retry sends the rest{export}."


@contextmanager
def warn_on_failure(what: str) -> Iterator[None]:
    """Log a warning where the body fails; raise nothing."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the sync has ended, so a failure to publish must not change it
        log.warning("%s could not be published: %s", what, type(error).__name__)
