"""Segment's Public API over HTTP: https://docs.segmentapis.com.

The addresses, and the version of each in ``Accept``, are those of Segment's own SDK
(https://github.com/segmentio/public-api-sdk-typescript, folder ``api``).
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from airflow_provider_amplitude_segment.clients.public_request import ALPHA, BETA, PublicRequests, Waiting
from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.http.base_url import without_version
from airflow_provider_amplitude_segment.core.ledger.stream import key_fingerprint
from airflow_provider_amplitude_segment.core.segment_api.count_responses import (
    count_all,
    count_by_reason,
    count_volume,
    minute_ranges,
)
from airflow_provider_amplitude_segment.core.segment_api.identify_counts import IdentifyCounts
from airflow_provider_amplitude_segment.core.segment_api.public_responses import (
    read_connected_destinations,
    read_drops_unplanned_traits,
    read_planned_traits,
    read_sources,
    read_spaces,
    read_suppressed,
    read_tracking_plan_id,
    read_workspace,
)
from airflow_provider_amplitude_segment.core.segment_api.retries import RETRIES
from airflow_provider_amplitude_segment.core.segment_api.workspace import IdentifyRules
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiRefusedError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import requests

    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
    from airflow_provider_amplitude_segment.core.segment_api.responses import ResponseData
    from airflow_provider_amplitude_segment.core.segment_api.workspace import (
        ConnectedDestination,
        ListedSource,
        Space,
        Workspace,
    )

log = logging.getLogger(__name__)

_SUPPRESSIONS_PAGE = 1000
_FORBIDDEN = 403


class SegmentApiClient:
    """Reads one workspace with its token; never changes anything.

    Safe to use from several threads. Messages and logs name the connection, never the token, a write key or a user.

    Args:
        session: Carries the token.
        base_url: Scheme and host, e.g. ``https://api.segmentapis.com``.
        timeout_seconds: Longest silence of the server.
        conn_id: Of the connection, for errors.
        retries: How a transient response is waited out; few tries for a check that must not take long.
        waiting: Time.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        timeout_seconds: float,
        *,
        conn_id: str,
        retries: RetryPolicy = RETRIES,
        waiting: Waiting | None = None,
    ) -> None:
        self.base_url = without_version(base_url)
        self._requests = PublicRequests(session, self.base_url, timeout_seconds, conn_id, retries, waiting or Waiting())

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the token along: Airflow 2.11 can be set to pickle XComs.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("SegmentApiClient", "what it read, and take a client from the hook in each task")

    def workspace(self) -> Workspace:
        """Return the workspace that the token opens."""
        return read_workspace(self._requests.ask("/", "which workspace its token opens"))

    def sources(self, host: str) -> Iterator[ListedSource]:
        """Yield the sources of the workspace, page by page, so that a caller can stop at the one it looks for.

        Args:
            host: Host of the write key that the caller looks for, a part of each ``key_fingerprint``.
        """
        for page in self._requests.pages("/sources", "which sources the workspace has"):
            yield from read_sources(page, partial(key_fingerprint, host))

    def identify_rules(self, source_id: str) -> IdentifyRules:
        """Return what a source does with traits that its tracking plan does not have.

        The plan is read only where it decides something. Where it cannot be read, its traits are not known.
        """
        doing = "what a source does with unplanned traits"
        tracking_plan_id = read_tracking_plan_id(self._requests.ask(f"/sources/{_part(source_id)}", doing))
        if tracking_plan_id is None:
            return IdentifyRules()
        drops = read_drops_unplanned_traits(self._requests.ask(f"/sources/{_part(source_id)}/settings", doing))
        if not drops:
            return IdentifyRules(tracking_plan_id)
        try:
            rules = self._requests.pages(
                f"/tracking-plans/{_part(tracking_plan_id)}/rules", "which traits a tracking plan has"
            )
            return IdentifyRules(tracking_plan_id, drops, read_planned_traits(rules))
        except (SegmentApiAnswerError, SegmentApiRefusedError) as error:
            log.info("%s", error.happened)
            return IdentifyRules(tracking_plan_id, drops)

    def connected_destinations(self, source_id: str) -> Sequence[ConnectedDestination]:
        """Return what a source feeds."""
        pages = self._requests.pages(
            f"/sources/{_part(source_id)}/connected-destinations", "which destinations a source feeds"
        )
        return tuple(destination for page in pages for destination in read_connected_destinations(page))

    def identify_counts(self, source_id: str, since: float, until: float) -> IdentifyCounts:
        """Return what Segment counts of a source's identifies in the minutes of a span, in epoch seconds.

        It asks the delivery overview, and where that is not available the event volume. The overview is in beta, and
        has the minutes of the last two days only.
        """
        ranges = tuple(minute_ranges(since, until))
        span = float(ranges[0][0]), float(ranges[-1][1])
        try:
            received_count, failed, filtered = 0, dict[str, int](), dict[str, int]()
            for minutes in ranges:
                received_count += count_all(self._overview("successfully-received", source_id, minutes))
                _add(failed, count_by_reason(self._overview("failed-on-ingest", source_id, minutes)))
                _add(filtered, count_by_reason(self._overview("filtered-at-source", source_id, minutes)))
            return IdentifyCounts(received_count, failed, filtered, *span)
        except SegmentApiAnswerError as error:
            unavailable = error.happened
        except SegmentApiRefusedError as error:
            if error.status != _FORBIDDEN:
                raise
            unavailable = error.happened
        log.info("The event volume is read instead of the delivery overview: %s", unavailable)
        volume = sum(count_volume(self._volume(source_id, minutes)) for minutes in ranges)
        return IdentifyCounts(volume, None, None, *span)

    def suppressed_users(self) -> Iterator[Sequence[str]]:
        """Yield the user IDs that Segment suppresses, page by page."""
        for page in self._requests.pages("/suppressions", "which users it suppresses", count=_SUPPRESSIONS_PAGE):
            yield read_suppressed(page)

    def spaces(self) -> Sequence[Space]:
        """Return the spaces of the workspace; an address in alpha, that only workspaces with Unify have."""
        pages = self._requests.pages("/spaces", "which spaces the workspace has", accept=ALPHA)
        return tuple(space for page in pages for space in read_spaces(page))

    def close(self) -> None:
        """Close the connections to Segment."""
        self._requests.session.close()

    def _overview(self, name: str, source_id: str, minutes: tuple[int, int]) -> Iterator[ResponseData]:
        query = _range(source_id, minutes)
        if name != "successfully-received":
            query["groupBy.1"] = "discardReason"
        return self._requests.pages(
            f"/delivery-overview/{name}", "how many identifies a source received", accept=BETA, query=query
        )

    def _volume(self, source_id: str, minutes: tuple[int, int]) -> Iterator[ResponseData]:
        doing = "how many identifies a source received"
        return self._requests.pages("/events/volume", doing, query=_range(source_id, minutes))


def _add(counts: dict[str, int], more: Mapping[str, int]) -> None:
    for reason, count in more.items():
        counts[reason] = counts.get(reason, 0) + count


def _range(source_id: str, minutes: tuple[int, int]) -> dict[str, str]:
    since, until = minutes
    return {
        "sourceId": source_id,
        "startTime": timestamp(since),
        "endTime": timestamp(until),
        "granularity": "MINUTE",
        "groupBy.0": "eventType",
    }


def _part(name: str) -> str:
    """Return an ID of Segment's as one part of a URL's path."""
    return quote(name, safe="", errors="replace")
