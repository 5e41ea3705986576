"""A response of the Public API is read whatever its shape, and nothing in it that may be a key is quoted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.count_responses import (
    count_all,
    count_by_reason,
    count_volume,
    minute_ranges,
)
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
from airflow_provider_amplitude_segment.core.segment_api.responses import (
    ApiRequest,
    ResponseData,
    error_reason,
    read_response,
    read_wait,
)
from airflow_provider_amplitude_segment.exceptions import SegmentApiAnswerError, SegmentApiRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST = ApiRequest("segment_api_default", "which sources the workspace has")
KEY = "write-key-0123456789-0123456789-"

READ: list[Callable[[ResponseData], object]] = [
    read_workspace,
    lambda data: read_sources(data, str.upper),
    read_tracking_plan_id,
    read_drops_unplanned_traits,
    lambda data: read_planned_traits([data]),
    read_connected_destinations,
    read_suppressed,
    read_spaces,
    lambda data: count_by_reason([data]),
    lambda data: count_volume([data]),
]


def data(**values: Any) -> ResponseData:
    """Return what a success has."""
    return ResponseData(REQUEST, 200, values)


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("value", [None, 7, "text", True])
def test_a_value_of_another_shape_is_an_error_with_connection_and_question(
    read: Callable[[ResponseData], object], value: object
) -> None:
    names = ("workspace", "sources", "source", "settings", "rules", "destinations", "suppressed", "spaces", "dataset")
    for wrong in ({}, dict.fromkeys((*names, "result"), value)):
        with pytest.raises(SegmentApiAnswerError) as caught:
            read(data(**wrong))
        assert (caught.value.conn_id, caught.value.doing) == (REQUEST.conn_id, REQUEST.doing)


def test_a_workspace_without_a_slug_is_none() -> None:
    with pytest.raises(SegmentApiAnswerError, match="slug"):
        read_workspace(data(workspace={"id": "9", "slug": " "}))


@pytest.mark.parametrize(
    ("entry", "hides"),
    [
        ({"writeKeys": [KEY]}, False),
        ({"writeKeys": []}, True),
        ({"writeKeys": [], "metadata": {"id": "2baks93n"}}, False),
        ({"writeKeys": [KEY, None], "metadata": {"id": "2baks93n"}}, True),
        ({"writeKeys": None, "metadata": {"id": "2baks93n"}}, True),
        ({"writeKeys": [], "metadata": {"id": "pHcia14h1B", "isCloudEventSource": True}}, True),
        ({"writeKeys": [], "metadata": {"id": ["2baks93n"]}}, True),
        ({"writeKeys": [], "metadata": "2baks93n"}, True),
    ],
)
def test_a_source_without_a_key_hides_one_if_its_kind_has_one(entry: dict[str, Any], hides: bool) -> None:
    (source,) = read_sources(data(sources=[{"id": "s1", **entry}]), str.upper)
    assert source.hides_keys is hides


def test_only_a_source_that_segment_calls_disabled_is_disabled() -> None:
    entries = [{"id": str(value), "enabled": value} for value in (True, False, None, "no")]
    found = read_sources(data(sources=entries), str.upper)
    assert [source.enabled for source in found] == [True, False, True, True]


def test_a_source_has_the_name_that_there_is() -> None:
    entries = [{"id": "1", "slug": "s", "name": "n"}, {"id": "2", "slug": "s", "name": ""}, {"id": "3"}]
    assert [source.name for source in read_sources(data(sources=entries), str.upper)] == ["n", "s", "3"]


def test_keys_of_another_shape_are_no_keys() -> None:
    entries = [{"id": "1", "writeKeys": keys} for keys in (None, "key", {"a": 1}, [None, 7, "", "\ud800", "key"])]
    found = read_sources(data(sources=entries), str.upper)
    assert [source.keys for source in found] == [frozenset(), frozenset(), frozenset(), frozenset({"KEY"})]


def test_half_a_surrogate_pair_can_be_logged() -> None:
    (source,) = read_sources(data(sources=[{"id": "1", "name": "\ud800"}]), str.upper)
    assert source.name == "?"


@pytest.mark.parametrize(
    ("rules", "planned"),
    [
        ([], frozenset()),
        ([{"type": "COMMON", "jsonSchema": None}], frozenset()),
        ([{"type": "COMMON", "jsonSchema": {"properties": {"traits": {"properties": {"a": {}}}}}}], frozenset("a")),
        ([{"type": "IDENTIFY", "jsonSchema": {"properties": {"traits": {}}}}], None),
        ([{"type": "IDENTIFY"}], None),
        ([{"type": ["IDENTIFY"]}], frozenset()),
    ],
)
def test_planned_traits_are_those_of_identifies_or_not_known(
    rules: list[object], planned: frozenset[str] | None
) -> None:
    assert read_planned_traits([data(rules=rules)]) == planned


@pytest.mark.parametrize(
    ("row", "count"),
    [
        ({"series": [{"count": 1}, {"count": 2}], "total": 9}, 3),
        ({"series": [{"count": "1"}]}, 1),
        ({"series": [], "total": 4}, 4),
        ({"total": "5"}, 5),
        ({"total": 6.0}, 6),
    ],
)
def test_a_count_is_read_however_it_is_written(row: dict[str, object], count: int) -> None:
    assert count_all([data(dataset=[{"eventType": "Identify", **row}])]) == count


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"total": "-1"},
        {"series": [{"count": 1}, None]},
        {"series": [{}]},
        {"total": 10**400},
        {"total": "9" * 5000},
    ],
)
def test_a_count_that_is_none_is_an_error(row: dict[str, object]) -> None:
    with pytest.raises(SegmentApiAnswerError, match="a count that is no number"):
        count_by_reason([data(dataset=[{"eventType": "identify", **row}])])


def test_ranges_join_without_a_gap() -> None:
    ranges = list(minute_ranges(1_795_575_661.5, 1_795_575_661.5 + 20 * 3600))
    assert all(until - since <= 4 * 3600 for since, until in ranges)
    assert [until for _, until in ranges[:-1]] == [since for since, _ in ranges[1:]]
    assert ranges[0][0] <= 1_795_575_661.5
    assert ranges[-1][1] >= 1_795_575_661.5 + 20 * 3600


@pytest.mark.parametrize("status", [401, 403])
def test_401_and_403_refuse_the_token(status: int) -> None:
    with pytest.raises(SegmentApiRefusedError):
        read_response(HttpResponse(status, {}, b"{}"), REQUEST, now=0)


@pytest.mark.parametrize("status", [301, 400, 404, 409, 422])
def test_other_statuses_are_errors_with_what_the_server_says(status: int) -> None:
    body = json.dumps({"errors": [{"type": "some-type", "message": f"no: {KEY}"}]}).encode()
    with pytest.raises(SegmentApiAnswerError) as caught:
        read_response(HttpResponse(status, {}, body), REQUEST, now=0)
    assert caught.value.status == status
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_transient_statuses_are_none(status: int) -> None:
    body = json.dumps({"errors": [{"type": "busy", "message": KEY}]}).encode()
    found = read_response(HttpResponse(status, {"retry-after": "3"}, body), REQUEST, now=0)
    assert found == RetryLater(status, 3.0, "busy: …")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b"{}", b'{"data": null}', b'{"data": []}'])
def test_a_success_without_data_is_an_error(body: bytes) -> None:
    with pytest.raises(SegmentApiAnswerError, match="not the JSON of the Public API"):
        read_response(HttpResponse(200, {}, body), REQUEST, now=0)


@pytest.mark.parametrize("pagination", [None, 7, [], {}, {"next": None}, {"next": ""}, {"next": 7}])
def test_a_page_without_a_cursor_is_the_last(pagination: object) -> None:
    assert data(pagination=pagination).next_cursor() is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"errors": {}}',
        b'{"errors": []}',
        b'{"errors": ["x"]}',
        b'{"errors": [{"type": 7, "message": null}]}',
    ],
)
def test_an_error_of_another_shape_has_no_reason(body: bytes) -> None:
    assert error_reason(body) == "no reason given"


@pytest.mark.parametrize("milliseconds", [None, True, "7", [], 1e400, 10**400, -1])
def test_a_wait_of_another_shape_is_none(milliseconds: object) -> None:
    body = json.dumps({"errors": [{"data": {"msBeforeNext": milliseconds}}]}).encode()
    assert not read_wait(HttpResponse(429, {}, body), now=0)
    assert (
        read_wait(HttpResponse(429, {"x-ratelimit-reset": "not: a date"}, b'{"errors": [{"data": 7}]}'), now=0) is None
    )
