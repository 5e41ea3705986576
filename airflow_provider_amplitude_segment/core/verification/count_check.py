"""Count what Segment received in the minutes of the last delivery, beside what it acknowledged.

The counts prove what they show: so many identifies of the source were dropped on ingest or filtered, and why. They do
not prove that all of ours were received, because other senders of the source are counted too, and copies are dropped
after they were acknowledged. Fewer received than acknowledged shows a loss; as many or more shows none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp

_COUNTED_SECONDS = 48 * 3600.0
"""Segment keeps the counts of minutes for two days
(https://github.com/segmentio/public-api-sdk-typescript, ``DeliveryOverviewApi``)."""

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.segment_api.ports import PublicApi
    from airflow_provider_amplitude_segment.core.segment_api.workspace import ListedSource
    from airflow_provider_amplitude_segment.core.verification.committed_state import LastDelivery
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination


def find_source(sources: Iterable[ListedSource], fingerprint: str) -> ListedSource | None:
    """Return the source that has a write key, reading no further than it; ``None`` where none shows that key.

    >>> from airflow_provider_amplitude_segment.core.segment_api.workspace import ListedSource
    >>> sources = [ListedSource("s1", "web", "Web", True), ListedSource("s2", "app", "App", True, frozenset({"f"}))]
    >>> find_source(sources, "f").source_id, find_source(sources, "g")
    ('s2', None)
    """
    return next((source for source in sources if fingerprint in source.keys), None)


def count_delivery(
    public: PublicApi,
    destination: Destination,
    delivery: LastDelivery | None,
    report: VerifiedDestination,
    now: float,
) -> VerifiedDestination:
    """Return the report with the counts of the last delivery, as far as Segment shows them.

    A delivery that began more than two days before ``now`` is not counted.

    Raises:
        SegmentApiError: the Public API did not respond as documented.
    """
    if delivery is not None:
        report = replace(report, acknowledged=delivery.acknowledged)
    source = find_source(public.sources(destination.host), destination.key_fingerprint)
    if source is None:
        return report
    report = replace(report, source_id=source.source_id)
    if delivery is None or not delivery.plan.planned or delivery.since < now - _COUNTED_SECONDS:
        return report
    counts = public.identify_counts(source.source_id, delivery.since, delivery.until)
    return replace(
        report,
        counted_since=timestamp(delivery.since),
        counted_until=timestamp(delivery.until),
        received=counts.received,
        failed=None if counts.failed is None else dict(counts.failed),
        filtered=None if counts.filtered is None else dict(counts.filtered),
    )
