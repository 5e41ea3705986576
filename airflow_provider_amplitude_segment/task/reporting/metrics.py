"""Metrics of a sync through Airflow's own ``Stats``, so to wherever Airflow's go: StatsD, Datadog, OpenTelemetry.

Counters count what this try did, so that adding them up over tries and runs is right. Tags are ``cohort_id`` and
``segment_conn_id``, where the backend has tags.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

PREFIX = "amplitude_segment."

AT_COMMIT = ("entered", "exited", "retired", "changed", "in_doubt")
"""Counters of a plan: counted once, by the try that commits it."""
AS_TOLD = ("acknowledged", "rejected")
"""Counters of what Segment answered: by the try that was answered."""
OF_A_TRY = ("batches", "retries")
OF_THE_EXPORT = ("members", "anonymous", "exports_left")
"""Gauges of the export."""
OF_THE_STATE = ("pending", "known", "skipped")
"""Gauges of a destination as the try left it."""
ENDINGS = ("succeeded", "skipped", "failed")


def count_sync(report: SyncReport, report_at_start: SyncReport | None, *, ending: str) -> None:
    """Hand a try's metrics to Airflow.

    Args:
        report: as the try left it.
        report_at_start: as it was before, with what earlier tries of the run have sent; ``None``: nothing.
        ending: one of ``ENDINGS``.
    """
    from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - not while a DAG is parsed

    cohort = {"cohort_id": report.cohort_id}
    Stats.incr(f"{PREFIX}syncs_{ending}", tags=cohort)
    if report.dry_run:
        return
    for name in OF_THE_EXPORT:
        if (value := getattr(report, name)) is not None:
            Stats.gauge(f"{PREFIX}{name}", value, tags=cohort)
    before = {told.destination: told for told in report_at_start.destinations} if report_at_start else {}
    for told in report.destinations:
        earlier = before.get(told.destination)
        if earlier is not None and earlier.committed:
            # By an earlier try, which has counted it.
            continue
        _count_destination(told, earlier, {**cohort, "segment_conn_id": told.segment_conn_id})


def _count_destination(told: DestinationReport, earlier: DestinationReport | None, tags: dict[str, str]) -> None:
    from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - as above

    for name, count in _counts(told, earlier):
        if count:
            Stats.incr(f"{PREFIX}{name}", count, tags=tags)
    if told.generation is None:
        # Nothing of it was begun or read in this try, so how it stands is not known.
        return
    for name in OF_THE_STATE:
        if (value := getattr(told, name)) is not None:
            Stats.gauge(f"{PREFIX}{name}", value, tags=tags)
    Stats.timing(f"{PREFIX}duration", timedelta(seconds=told.seconds), tags=tags)


def _counts(told: DestinationReport, earlier: Any) -> Iterator[tuple[str, int]]:
    if told.committed:
        for name in AT_COMMIT:
            yield name, getattr(told, name)
    for name in AS_TOLD:
        yield name, getattr(told, name) - (getattr(earlier, name) if earlier else 0)
    for name in OF_A_TRY:
        yield name, getattr(told, name)
