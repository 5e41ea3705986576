"""What the token endpoint says, and that nothing it says reaches a message but its code."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.delivery.response import OAuthRefused, Unreachable
from airflow_provider_amplitude_segment.core.delivery.token_response import (
    ClockSkewed,
    TokenIssued,
    read_token_response,
)
from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import RetryLater

DATE = {"date": "Mon, 23 Nov 2026 00:00:00 GMT"}


def read(status: int, fields: object = None, headers: dict[str, str] | None = None) -> Any:
    body = fields if isinstance(fields, bytes) else b"" if fields is None else json.dumps(fields).encode()
    return read_token_response(HttpResponse(status, headers or {}, body), now=0.0)


@pytest.mark.parametrize("description", ["Token is expired", "Token used before issued", "token is expired (exp)"])
def test_a_wrong_clock_is_read_from_the_description(description: str) -> None:
    fields = {"error": "invalid_request", "error_description": description}

    assert read(400, fields, DATE) == ClockSkewed(1_795_392_000.0)
    assert read(400, fields) == ClockSkewed(None)
    assert isinstance(read(401, fields, DATE), OAuthRefused)


@pytest.mark.parametrize("status", [400, 401])
def test_an_error_of_the_standard_is_final(status: int) -> None:
    """https://www.rfc-editor.org/rfc/rfc6749#section-5.2."""
    assert read(status, {"error": "invalid_client"}) == OAuthRefused(status, "invalid_client")
    assert read(status, {"error": "anything else"}) == OAuthRefused(status, "no reason given")


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        *[(status, {"error": "invalid_client"}) for status in (403, 404, 405, 415, 302, 501)],
        *[(status, b"<html>") for status in (400, 401, 403, 404, 407, 302)],
        *[(400, fields) for fields in ({}, [], {"error": 5}, {"message": "no"}, b"")],
    ],
)
def test_any_other_response_is_not_one_of_a_token_endpoint(status: int, fields: object) -> None:
    response = read(status, fields)

    assert response == Unreachable(f"no access token: the response is none of a token endpoint (HTTP {status})")
    assert "oauth_host" in response.advice
    assert "proxies" in response.advice


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_endpoint_is_asked_again_after_what_it_asks_for(status: int) -> None:
    assert isinstance(read(status), RetryLater)
    assert read(status, headers={"retry-after": "7"}).after_seconds == 7.0
    assert read(status, headers={"x-ratelimit-reset": "9"}).after_seconds == 9.0
    assert read(status, headers={"x-ratelimit-reset": "9000"}).after_seconds == 300.0
    assert read(status, headers={"retry-after": "soon"}).after_seconds is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a\r\nX-Header: b"},
        {"access_token": "a b"},
        {"access_token": "täken"},
        {"access_token": "a", "token_type": "mac"},
        [],
        b"<html>",
        b"",
    ],
)
def test_a_200_without_a_token_that_a_header_can_carry_is_not_one_of_a_token_endpoint(fields: object) -> None:
    assert isinstance(read(200, fields), Unreachable)


def test_a_token_that_was_cut_off_is_none() -> None:
    assert isinstance(read(200, b'{"access_token": "abcd'), RetryLater)


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(["error", "error_description", "access_token", "expires_in", "token_type", "message"]),
        st.sampled_from(["eyJhbGciOi.secret", "Bearer", "60", 60, -1, None, True, ["a"], {}]),
    ),
)
def test_no_response_raises_or_is_quoted(status: int, fields: dict[str, Any]) -> None:
    response = read(status, fields, DATE)

    assert "secret" not in f"{response!r}"
    assert isinstance(response, TokenIssued | OAuthRefused | Unreachable | RetryLater | ClockSkewed)
