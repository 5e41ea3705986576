"""What the responses mean that count identifies: of the delivery overview, and of the event volume.

Source: Segment's own SDK, https://github.com/segmentio/public-api-sdk-typescript, folder ``model``.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.http.response_body import number_of
from airflow_provider_amplitude_segment.core.segment_api.responses import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_amplitude_segment.core.segment_api.responses import ResponseData

_MINUTE = 60
# "MINUTE: 4 hours" is the widest range of one request for the delivery overview.
_WIDEST_SECONDS = 4 * 3600
_IDENTIFY = "identify"
_NO_REASON = "unknown"
_DIGITS = re.compile(r"[0-9]{1,18}")


def minute_ranges(since: float, until: float) -> Iterator[tuple[int, int]]:
    """Yield the whole minutes that have a span in them, as ranges that one request may ask for.

    Args:
        since: Beginning, epoch seconds.
        until: End; a span has one minute at least.

    >>> list(minute_ranges(65.0, 130.0)), list(minute_ranges(60.0, 60.0))
    ([(60, 180)], [(60, 120)])
    >>> list(minute_ranges(0, 5 * 3600))
    [(0, 14400), (14400, 18000)]
    """
    start = math.floor(since / _MINUTE) * _MINUTE
    end = max(math.ceil(until / _MINUTE) * _MINUTE, start + _MINUTE)
    for begin in range(start, end, _WIDEST_SECONDS):
        yield begin, min(begin + _WIDEST_SECONDS, end)


def count_by_reason(pages: Iterable[ResponseData]) -> dict[str, int]:
    """Read all pages of the delivery overview, class ``GetDeliveryOverviewMetricsBetaOutput``: identifies by reason.

    ``eventType`` and ``discardReason`` are there where the request groups by them. The counts of the ranges are
    added up rather than ``total`` read, because a list over several pages could repeat its total.

    Raises:
        SegmentApiAnswerError: It has no dataset.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> def row(kind, reason, *counts):
    ...     series = [{"time": "2026-11-25T03:00:00Z", "count": count} for count in counts]
    ...     return {"eventType": kind, "discardReason": reason, "total": sum(counts), "series": series}
    >>> rows = [row("identify", "unplanned", 3, 4), row("identify", None), row("track", "unplanned", 9)]
    >>> count_by_reason([ResponseData(ApiRequest("c", "x"), 200, {"total": 16, "dataset": rows})])
    {'unplanned': 7}
    """
    return _add_up(pages, "dataset")


def count_all(pages: Iterable[ResponseData]) -> int:
    """Return the sum of ``count_by_reason``: of *successfully received*, which has no reasons."""
    return sum(count_by_reason(pages).values())


def count_volume(pages: Iterable[ResponseData]) -> int:
    """Read all pages of the event volume, class ``GetEventsVolumeFromWorkspaceV1Output``: identifies that came.

    Raises:
        SegmentApiAnswerError: It has no result.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> rows = [{"eventType": "identify", "total": 5, "series": [{"time": "2026-11-25T03:00:00Z", "count": 5}]}]
    >>> count_volume([ResponseData(ApiRequest("c", "x"), 200, {"result": rows})])
    5
    """
    return sum(_add_up(pages, "result").values())


def _add_up(pages: Iterable[ResponseData], name: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for page in pages:
        for row in page.objects(name):
            if text_of(row, "eventType").lower() != _IDENTIFY:
                continue
            count = _count(row)
            if count is None:
                raise page.request.wrong_answer(page.status, "with a count that is no number")
            if count:
                reason = text_of(row, "discardReason") or _NO_REASON
                counts[reason] = counts.get(reason, 0) + count
    return counts


def _count(row: dict[str, Any]) -> int | None:
    series = row.get("series")
    points = series if isinstance(series, list) and series else [{"count": row.get("total")}]
    counts = [_number(point.get("count")) if isinstance(point, dict) else None for point in points]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _number(value: object) -> int | None:
    # A big number comes as text in some of Segment's responses.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    number = number_of(value)
    return None if number is None else int(number)
