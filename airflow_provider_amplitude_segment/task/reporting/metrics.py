"""Send a sync's metrics through Airflow's ``Stats``, to Airflow's own backend: StatsD, Datadog or OpenTelemetry.

Counters count what this try did, so sums over tries and runs are right. The tags are ``cohort_id`` and
``segment_conn_id``, where the backend has tags.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

PREFIX = "amplitude_segment."

AT_COMMIT = ("entered", "exited", "retired", "changed", "in_doubt")
"""Counters of a plan: counted once, by the try that commits it."""
OF_RESPONSES = ("acknowledged", "rejected", "events_acknowledged", "events_rejected")
"""Counters of Segment's responses: counted by the try that received them."""
OF_A_TRY = ("batches", "retries")
OF_THE_EXPORT = ("members", "anonymous", "exports_left")
"""Gauges of the export."""
OF_THE_STATE = ("pending", "known", "skipped")
"""Gauges of a destination as the try left it."""
ENDINGS = ("succeeded", "skipped", "failed")


def count_sync(report: SyncReport, report_at_start: SyncReport | None, *, ending: str) -> None:
    """Send a try's metrics to Airflow.

    Args:
        report: as the try left it.
        report_at_start: as it was before, with what earlier tries of the run sent; ``None``: they sent nothing.
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
    before = {each.destination: each for each in report_at_start.destinations} if report_at_start else {}
    for destination in report.destinations:
        earlier = before.get(destination.destination)
        if earlier is not None and earlier.committed:
            # The earlier try has counted it.
            continue
        _count_destination(destination, earlier, {**cohort, "segment_conn_id": destination.segment_conn_id})


def _count_destination(destination: DestinationReport, earlier: DestinationReport | None, tags: dict[str, str]) -> None:
    from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - as above

    for name, count in _counts(destination, earlier):
        if count:
            Stats.incr(f"{PREFIX}{name}", count, tags=tags)
    if destination.generation is None:
        # This try reached no plan, so the destination's state is not known.
        return
    for name in OF_THE_STATE:
        if (value := getattr(destination, name)) is not None:
            Stats.gauge(f"{PREFIX}{name}", value, tags=tags)
    Stats.timing(f"{PREFIX}duration", timedelta(seconds=destination.seconds), tags=tags)


def _counts(destination: DestinationReport, earlier: DestinationReport | None) -> Iterator[tuple[str, int]]:
    if destination.committed:
        for name in AT_COMMIT:
            yield name, getattr(destination, name)
    for name in OF_RESPONSES:
        yield name, getattr(destination, name) - (getattr(earlier, name) if earlier else 0)
    for name in OF_A_TRY:
        yield name, getattr(destination, name)
