"""A response of the Profile API says something of the user, or of the space, and its reader names no user."""

from __future__ import annotations

import json

import pytest

from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.profile import (
    ProfileAbsent,
    ProfileUnreadable,
    TraitAbsent,
    TraitFound,
)
from airflow_provider_amplitude_segment.core.segment_api.profile_responses import (
    NextPage,
    UserIds,
    read_trait,
    read_user_ids,
)
from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest
from airflow_provider_amplitude_segment.exceptions import SegmentApiAnswerError, SegmentApiRefusedError

REQUEST = ApiRequest("segment_api_default", "what it has of a user's trait")
USER = "ann@example.com"


def read(body: object, status: int = 200, **headers: str) -> object:
    """Read a response about a trait."""
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_trait(HttpResponse(status, found, json.dumps(body).encode()), REQUEST, "t", now=0)


@pytest.mark.parametrize(
    ("trait", "answer"),
    [
        ({"value": True, "source_id": "q"}, TraitFound(value=True)),
        ({"value": False}, TraitFound(value=False)),
        ({"value": None}, TraitAbsent()),
        (True, TraitFound(value=True)),
        (None, TraitAbsent()),
        ({"a": 1}, TraitFound({"a": 1})),
    ],
)
def test_a_trait_is_read_with_and_without_where_it_came_from(trait: object, answer: object) -> None:
    assert read({"traits": {"t": trait}}) == answer


@pytest.mark.parametrize(
    ("cursor", "answer"),
    [
        ({"has_more": True, "next": "u"}, NextPage("u")),
        ({"next": "u"}, NextPage("u")),
        ({"has_more": False, "next": "u"}, TraitAbsent()),
        ({"has_more": True, "next": ""}, TraitAbsent()),
        ({"has_more": True, "next": 7}, TraitAbsent()),
        (None, TraitAbsent()),
    ],
)
def test_a_cursor_decides_whether_there_is_another_page(cursor: object, answer: object) -> None:
    assert read({"traits": {"other": 1}, "cursor": cursor}) == answer


@pytest.mark.parametrize("message", ["Profile was not found.", "profile not found", "The profile does not exist"])
def test_a_profile_is_absent_however_segment_says_it(message: str) -> None:
    assert read({"error": {"code": "not_found", "message": message}}, 404) == ProfileAbsent()


@pytest.mark.parametrize(
    "error",
    [
        {"code": "not_found", "message": "Space was not found."},
        {"code": "not_found", "message": None},
        {"code": "other", "message": "Profile was not found."},
        {"code": USER, "message": USER},
        {},
        None,
        "not_found",
    ],
)
def test_any_other_404_is_an_error(error: object) -> None:
    with pytest.raises(SegmentApiAnswerError, match="check the space ID") as caught:
        read({"error": error}, 404, request_id=USER)
    assert USER not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 301, 405])
def test_an_error_quotes_nothing(status: int) -> None:
    with pytest.raises((SegmentApiRefusedError, SegmentApiAnswerError)) as caught:
        read({"errors": [{"type": USER, "message": USER}], "error": {"message": USER}}, status)
    assert USER not in str(caught.value)


def test_a_request_id_is_named() -> None:
    with pytest.raises(SegmentApiAnswerError, match=r"\(Request-Id 1111-2222\)"):
        read([], request_id="1111-2222")


def test_user_ids_are_read_alike() -> None:
    def read_ids(body: object, status: int = 200) -> object:
        return read_user_ids(HttpResponse(status, {}, json.dumps(body).encode()), REQUEST, now=0)

    ids = [{"type": "user_id", "id": USER}, {"type": "email", "id": "x"}]
    assert read_ids({"data": ids, "cursor": {"has_more": True, "next": "n"}}) == UserIds((USER,), "n")
    assert USER not in repr(read_ids({"data": ids}))
    assert read_ids({}, 400) == ProfileUnreadable(400)
    assert read_ids({}, 503) == RetryLater(503)
    with pytest.raises(SegmentApiAnswerError, match="without external IDs"):
        read_ids({"data": {}})
