"""Read what a response of Segment's OAuth token endpoint means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.delivery.response import (
    RETRY_AFTER_CAP_SECONDS,
    RETRYABLE_STATUSES,
    OAuthRefused,
    Unreachable,
)
from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object, read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, read_http_date, read_retry_after
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse

_OK = 200
_BAD_REQUEST = 400
# https://www.rfc-editor.org/rfc/rfc6749#section-5.2. A proxy or another host responds with any other.
_REFUSED_STATUSES = frozenset({_BAD_REQUEST, 401})

# https://www.rfc-editor.org/rfc/rfc6749#section-5.2. Another text is not shown: it may quote the assertion.
_ERRORS = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)

# As analytics-python 2.4.0 (oauth_manager.py) reads them.
_CLOCK_PROBLEMS = ("token is expired", "token used before issued")

_LARGEST_WAIT = 1_000_000_000.0
"""A larger number in ``X-RateLimit-Reset`` is a time since 1970, and no number of seconds to wait."""


@dataclass(frozen=True, slots=True, repr=False)
class TokenIssued(NotForXCom):
    """Segment issued an access token.

    Attributes:
        value: the token; a secret.
        life_seconds: how long it is valid; ``None`` where the response does not say.
    """

    value: str
    life_seconds: float | None

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise XComValueError("TokenIssued", "what it is for, and request a token in each task")


@dataclass(frozen=True, slots=True)
class ClockSkewed(NotForXCom):
    """Segment refused the assertion because the worker's clock is wrong.

    Attributes:
        server_now: seconds since 1970-01-01 UTC by Segment's clock; ``None`` where the response does not say.
    """

    server_now: float | None


TokenResponse = TokenIssued | ClockSkewed | OAuthRefused | RetryLater | Unreachable


def read_token_response(response: HttpResponse, *, now: float) -> TokenResponse:
    """Return what a response to ``POST /token`` means.

    https://www.twilio.com/docs/segment/connections/oauth; the errors, and which of them a retry cures, after
    analytics-python 2.4.0 (oauth_manager.py) and analytics-next ``packages/node`` (token-manager.ts).

    Args:
        response: as it came.
        now: seconds since 1970-01-01 UTC, for a wait that is written as a date.

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> def read(status, body, **headers):
    ...     return read_token_response(HttpResponse(status, headers, body), now=0.0)
    >>> read(200, b'{"access_token": "t", "token_type": "Bearer", "expires_in": 86400}').life_seconds
    86400.0
    >>> expired = b'{"error": "invalid_request", "error_description": "Token is expired"}'
    >>> read(400, expired, date="Thu, 01 Jan 1970 01:00:00 GMT")
    ClockSkewed(server_now=3600.0)
    >>> read(401, b'{"error": "invalid_client"}')
    OAuthRefused(status=401, reason='invalid_client', is_of_source=False)
    >>> read(429, b"", **{"retry-after": "7"})
    RetryLater(status=None, after_seconds=7.0, reason='the token endpoint responds with HTTP 429')
    >>> read(503, b"")
    RetryLater(status=None, after_seconds=None, reason='the token endpoint responds with HTTP 503')
    >>> read(403, b"<html>Please log in</html>")
    Unreachable(reason='no access token: the response is none of a token endpoint (HTTP 403)')
    """
    fields = read_object(response.body)
    if response.status == _OK:
        return _read_issued(response, fields)
    if response.status in RETRYABLE_STATUSES:
        return _later(f"the token endpoint responds with HTTP {response.status}", _wait(response.headers, now))
    error = fields.get("error") if fields else None
    description = fields.get("error_description") if fields else None
    if response.status == _BAD_REQUEST and isinstance(description, str):
        said = description.lower()
        if any(problem in said for problem in _CLOCK_PROBLEMS):
            return ClockSkewed(read_http_date(response.headers.get("date")))
    if response.status in _REFUSED_STATUSES and isinstance(error, str):
        return OAuthRefused(response.status, error if error in _ERRORS else "no reason given")
    return _not_a_token_endpoint(response.status)


def _not_a_token_endpoint(status: int) -> Unreachable:
    return Unreachable(
        f"no access token: the response is none of a token endpoint (HTTP {status})",
        "Check Extra oauth_host of the connection, and proxies.",
    )


def _read_issued(response: HttpResponse, fields: dict[str, Any] | None) -> TokenResponse:
    if is_cut_object(response.body, is_end_announced=response.is_end_announced):
        return no_token(CUT_OFF)
    value = fields.get("access_token") if fields else None
    kind = fields.get("token_type", "Bearer") if fields else None
    # It goes into a header.
    is_legible = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value
    if not isinstance(value, str) or not value or not is_legible or str(kind).lower() != "bearer":
        return _not_a_token_endpoint(response.status)
    return TokenIssued(value, _life((fields or {}).get("expires_in")))


def _life(value: object) -> float | None:
    """Return a token's life; ``None`` where it is none.

    >>> _life(86400), _life("60"), _life(0), _life(True), _life(None)
    (86400.0, 60.0, None, None, None)
    """
    try:
        seconds = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        seconds = math.nan
    return seconds if 0 < seconds < math.inf else None


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait; Segment's libraries read one header each.

    >>> _wait({"x-ratelimit-reset": "30"}, 0.0), _wait({"x-ratelimit-reset": "1795392040"}, 1_795_392_000.0)
    (30.0, 40.0)
    >>> _wait({"retry-after": "7", "x-ratelimit-reset": "30"}, 0.0), _wait({}, 0.0)
    (7.0, None)
    """
    seconds = read_retry_after(headers.get("retry-after"), now=now)
    if seconds is None:
        seconds = read_retry_after(headers.get("x-ratelimit-reset"), now=now)
    if seconds is not None and seconds > _LARGEST_WAIT:
        seconds = max(0.0, seconds - now)
    return None if seconds is None else min(seconds, RETRY_AFTER_CAP_SECONDS)


def no_token(reason: str, advice: str = "") -> RetryLater:
    """Return what a missing response of the token endpoint means: retry.

    Args:
        reason: the kind of failure.
        advice: what to do if it persists.

    >>> no_token("the server refuses the connection").reason
    'no access token: the server refuses the connection'
    """
    return RetryLater(None, None, f"no access token: {reason}", advice, is_posted=False)


def _later(reason: str, after_seconds: float | None) -> RetryLater:
    return RetryLater(None, after_seconds, reason, is_posted=False)
