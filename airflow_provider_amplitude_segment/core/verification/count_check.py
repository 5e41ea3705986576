"""Count what Segment received in the minutes of the last delivery, beside what it acknowledged.

The counts prove what they show: so many identifies of the source were dropped on ingest or filtered, and why. They do
not prove that all of ours were received, because other senders of the source are counted too, and copies are dropped
after they were acknowledged. Fewer received than acknowledged shows a loss; as many or more shows none.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
from airflow_provider_amplitude_segment.core.segment_api.source_check import (
    AskedKey,
    ProvedSource,
    UnknownSource,
    find_keys,
    judge_key,
)
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit

log = logging.getLogger(__name__)

_COUNTED_SECONDS = 48 * 3600.0
"""Segment keeps the counts of minutes for two days
(https://github.com/segmentio/public-api-sdk-typescript, ``DeliveryOverviewApi``)."""

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.segment_api.workspace import ListedSource
    from airflow_provider_amplitude_segment.core.verification.committed_state import LastDelivery
    from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination


def find_source(apis: SegmentApis, destination: Destination) -> ListedSource | None:
    """Return the source that has a destination's write key; ``None`` where the token may not see the keys.

    Raises:
        WriteKeyError, SourceDisabledError: Segment drops every message of this key, or has it in another region.
        SegmentApiError: the Public API did not respond as documented.
    """
    listing = find_keys(apis.public.sources(destination.host), {destination.key_fingerprint})
    source = listing.found.get(destination.key_fingerprint)
    if source is None and not listing.listed:
        return None
    key = AskedKey(
        destination.segment_conn_id, destination.key_fingerprint, destination.host, destination.region or None
    )
    access = PublicApiAccess(apis.conn_id, apis.region, apis.public, TimeLimit(lambda: 0.0))
    match judge_key(key, access, apis.public.workspace(), listing):
        case ProvedSource(source=proved):
            return proved
        case UnknownSource(reason=reason, advice=advice):
            log.warning("%s: the source is not known: %s. %s", destination.segment_conn_id, reason, advice)
            return None
        case error:
            raise error


def count_delivery(
    apis: SegmentApis,
    destination: Destination,
    delivery: LastDelivery | None,
    report: VerifiedDestination,
    now: float,
) -> VerifiedDestination:
    """Return the report with the counts of the last delivery, as far as Segment shows them.

    A delivery that began more than two days before ``now`` is not counted.

    Raises:
        WriteKeyError, SourceDisabledError: as ``find_source``.
        SegmentApiError: the Public API did not respond as documented.
    """
    source = find_source(apis, destination)
    if source is None:
        return report
    report = replace(report, source_id=source.source_id)
    if delivery is None or not delivery.plan.planned or delivery.since < now - _COUNTED_SECONDS:
        return report
    counts = apis.public.identify_counts(source.source_id, delivery.since, delivery.until)
    return replace(
        report,
        counted_since=timestamp(delivery.since),
        counted_until=timestamp(delivery.until),
        received=counts.received,
        failed=None if counts.failed is None else dict(counts.failed),
        filtered=None if counts.filtered is None else dict(counts.filtered),
    )
