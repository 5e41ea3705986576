"""The delivery overview and the event volume of the Public API, of what the Tracking API took in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox.public_query import (
    PublicApiErrorResponse,
    invalid,
    read_page,
    words,
)
from airflow_provider_amplitude_segment.sandbox.segment_message import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_amplitude_segment.sandbox.delivery_counts import Counted, Step
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment
    from airflow_provider_amplitude_segment.sandbox.sources import SandboxSource

    Row = tuple[int, Counted, int, SandboxSource]

_HOUR, _DAY = 3600, 86_400
_BUCKETS = {"MINUTE": 60, "HOUR": _HOUR, "DAY": _DAY}
# The SDK's text of `granularity`: the longest span, and how far back it may begin.
_SPANS = {"MINUTE": (4 * _HOUR, 2 * _DAY), "HOUR": (14 * _DAY, 30 * _DAY), "DAY": (30 * _DAY, 30 * _DAY)}
_STEPS: dict[str, Step | None] = {
    "successfully-received": "received",
    "failed-on-ingest": "failed",
    "filtered-at-source": "filtered",
    "successful-delivery": "delivered",
    # The sandbox's destinations take everything.
    "filtered-at-destination": None,
    "failed-delivery": None,
}
_INGRESS = {"successfully-received", "failed-on-ingest", "filtered-at-source"}
_GROUPS = ("eventName", "eventType", "appVersion", "discardReason")
_VOLUME_GROUPS = ("eventName", "eventType", "source")


@dataclass(frozen=True, slots=True)
class _Span:
    since: float
    until: float
    granularity: str


class DeliveryOverview:
    """What the Tracking API took in, counted as the Public API shows it."""

    def __init__(self, segment: SandboxSegment, clock: Callable[[], float]) -> None:
        self._segment, self._clock = segment, clock

    def metrics(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the counts of one of the six steps.

        Raises:
            PublicApiErrorResponse: a parameter is wrong, or names nothing.
        """
        if name not in _STEPS:
            raise PublicApiErrorResponse(404, "not-found", "Not found")
        source = self._source(query)
        if name not in _INGRESS:
            _check_destination(source, query)
        span = self._span(query)
        allowed = [group for group in _GROUPS if (name, group) != ("successfully-received", "discardReason")]
        groups = _groups(query, allowed)
        wanted = query.get("filter") or {}
        if not isinstance(wanted, dict) or any(field not in allowed for field in wanted):
            raise invalid("filter", f"filter takes {', '.join(allowed)}")
        filters = {field: words(value) for field, value in wanted.items()}
        step = _STEPS[name]
        rows = self._rows([source], span, step, filters) if step else []
        dataset = _dataset(rows, groups, span.granularity)
        for entry in dataset:
            entry["totalRetryCount"] = 0
            entry["series"] = [{**point, "retryCount": 0} for point in entry["series"]]
        shown, pagination = read_page(query).of(dataset)
        return {"total": sum(entry["total"] for entry in dataset), "dataset": shown, "pagination": pagination}

    def event_volume(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return how many valid events the sources received.

        Raises:
            PublicApiErrorResponse: a parameter is wrong.
        """
        span = self._span(query)
        groups = _groups(query, _VOLUME_GROUPS)
        asked = words(query.get("sourceId"))
        sources = [source for source in self._segment.listed_sources if not asked or source.source_id in asked]
        filters = {name: words(query.get(name)) for name in ("eventName", "eventType", "appVersion")}
        rows = self._rows(sources, span, "received", {name: kept for name, kept in filters.items() if kept})
        result, pagination = read_page(query).of(_dataset(rows, groups, span.granularity))
        echo = {
            "workspaceId": self._segment.public_api.workspace_id,
            "granularity": span.granularity,
            "startTime": query["startTime"],
            "endTime": query["endTime"],
            "groupBy": groups,
            "sourceId": asked,
        }
        return {"path": "/events/volume", "query": echo, "result": result, "pagination": pagination}

    def _rows(
        self, sources: Iterable[SandboxSource], span: _Span, step: Step, filters: dict[str, list[str]]
    ) -> list[Row]:
        return [
            (minute, counted, count, source)
            for source in sources
            for minute, counted, count in self._segment.delivery(source.source_id, span.since, span.until)
            if counted.step == step and all(_field(counted, name) in kept for name, kept in filters.items())
        ]

    def _source(self, query: dict[str, Any]) -> SandboxSource:
        source_id = query.get("sourceId")
        if not source_id:
            raise invalid("sourceId", "sourceId is required")
        for source in self._segment.listed_sources:
            if source.source_id == source_id:
                return source
        raise PublicApiErrorResponse(404, "not-found", "Source not found")

    def _span(self, query: dict[str, Any]) -> _Span:
        # Newer SDKs write MINUTE, older ones minute.
        granularity = str(query.get("granularity", "")).upper()
        if granularity not in _SPANS:
            raise invalid("granularity", "granularity must be MINUTE, HOUR or DAY")
        times = []
        for name in ("startTime", "endTime"):
            time = moment(str(query.get(name, "")))
            if time is None:
                raise invalid(name, f"{name} must be an ISO 8601 time")
            times.append(time)
        since, until = times
        longest, oldest = _SPANS[granularity]
        if not 0 < until - since <= longest:
            raise invalid("endTime", f"a span by {granularity} has at most {longest // _HOUR} hours")
        if since < self._clock() - oldest:
            raise invalid("startTime", f"a span by {granularity} begins at most {oldest // _HOUR} hours ago")
        return _Span(since, until, granularity)


def _check_destination(source: SandboxSource, query: dict[str, Any]) -> None:
    destination_id = query.get("destinationConfigId")
    if not destination_id:
        raise invalid("destinationConfigId", "destinationConfigId is required")
    if all(destination.destination_id != destination_id for destination in source.destinations):
        raise PublicApiErrorResponse(404, "not-found", "Destination not found")


def _groups(query: dict[str, Any], allowed: Iterable[str]) -> list[str]:
    groups = words(query.get("groupBy"))
    if any(group not in allowed for group in groups):
        raise invalid("groupBy", f"groupBy takes {', '.join(allowed)}")
    return groups


def _field(counted: Counted, name: str) -> str:
    fields = {
        "eventName": counted.event_name,
        "eventType": counted.event_type,
        "appVersion": counted.app_version,
        "discardReason": counted.reason,
    }
    return fields[name]


def _dataset(rows: Iterable[Row], groups: list[str], granularity: str) -> list[dict[str, Any]]:
    """Return the counts by group, the largest first, with the times that have any."""
    seconds = _BUCKETS[granularity]
    series: dict[tuple[str, ...], Counter[int]] = {}
    sources = {}
    for minute, counted, count, source in rows:
        sources[source.source_id] = {"id": source.source_id, "name": source.name, "slug": source.slug}
        key = tuple(source.source_id if group == "source" else _field(counted, group) for group in groups)
        series.setdefault(key, Counter())[minute // seconds * seconds] += count
    dataset = []
    for key, counts in sorted(series.items(), key=lambda item: (-item[1].total(), item[0])):
        named = {
            group: sources[value] if group == "source" else value for group, value in zip(groups, key, strict=True)
        }
        points = [{"time": _as_text(time), "count": count} for time, count in sorted(counts.items())]
        dataset.append({**named, "total": counts.total(), "series": points})
    return dataset


def _as_text(time: int) -> str:
    return datetime.fromtimestamp(time, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
