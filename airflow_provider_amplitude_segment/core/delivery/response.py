"""Read what a response of Segment's Tracking API means for the batch that was posted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object, read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, read_retry_after
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "RETRYABLE_STATUSES",
    "RETRY_AFTER_CAP_SECONDS",
    "Acknowledged",
    "CredentialsRejected",
    "Failure",
    "OAuthRefused",
    "Rejected",
    "Response",
    "RetryLater",
    "UnexpectedResponse",
    "Unreachable",
    "no_response",
    "read_response",
]

# As in Segment's libraries in 2026: analytics-next packages/node (publisher.ts), analytics-python 2.4.0 (consumer.py),
# analytics-python#520. 511 is for OAuth only: access_token.py.
RETRYABLE_STATUSES = frozenset({408, 410, 429, 460, *range(500, 600)} - {501, 505, 511})

# https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Errors": 400 is
# for payloads that are too large and for broken JSON. A proxy may turn it into 413 or 422.
_REJECTED_STATUSES = frozenset({400, 413, 422})
_CREDENTIALS_STATUSES = frozenset({401, 403})
_SUCCESS_STATUSES = range(200, 300)

RETRY_AFTER_CAP_SECONDS = 300.0
"""Longer waits are cut to this, as in Segment's libraries."""

_REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Acknowledged(NotForXCom):
    """Segment has queued the batch; it promises no more than that."""


@dataclass(frozen=True, slots=True)
class Rejected(NotForXCom):
    """Segment queued nothing of this batch, and never will.

    Attributes:
        status: HTTP status code.
        reason: Segment's text.
        is_token_in_doubt: with OAuth, the access token may be the reason; such a rejection marks no user.
    """

    status: int
    reason: str
    is_token_in_doubt: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class CredentialsRejected(NotForXCom):
    """The write key was rejected, not the batch. Segment does not document this; a gateway in front of it may do it.

    Attributes:
        status: 401 or 403.
    """

    status: int


@dataclass(frozen=True, slots=True)
class UnexpectedResponse(NotForXCom):
    """The response is not one of Segment's Tracking API, but a redirect, a missing page or a proxy's page.

    Attributes:
        status: HTTP status code.
        reason: its text.
    """

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable(NotForXCom):
    """Nothing was sent, and a retry does not help, for example because of an untrusted certificate.

    Attributes:
        reason: why, in words.
        advice: what to do, in a sentence.
    """

    reason: str
    advice: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class OAuthRefused(NotForXCom):
    """The OAuth application gets no access token, or the source refuses a new one; the batch itself was not refused.

    Attributes:
        status: HTTP status code.
        reason: why, in words.
        is_of_source: whether the Tracking API refused a token; otherwise the token endpoint issued none.
    """

    status: int
    reason: str
    is_of_source: bool = False


Failure = RetryLater | CredentialsRejected | UnexpectedResponse | Unreachable | OAuthRefused
"""A response that ends a delivery if it is the last one."""

Response = Acknowledged | Rejected | Failure


def read_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, is_end_announced: bool = True
) -> Response:
    """Return what a response to ``POST /v1/batch`` means.

    A status 2xx with a truncated body is retried under the same message IDs, because it may have been a rejection.

    Args:
        status: HTTP status code.
        headers: response headers with lower-case names.
        body: response body; ``{"success": true}`` if Segment queued the batch.
        now: seconds since 1970-01-01 UTC, for a ``Retry-After`` that is a date.
        is_end_announced: whether the headers or the encoding mark the end of the body.

    >>> read_response(200, {}, b'{"success": true}', now=0)
    Acknowledged()
    >>> read_response(429, {"retry-after": "7"}, b"", now=0)
    RetryLater(status=429, after_seconds=7.0, reason='no reason given')
    >>> read_response(400, {}, b'{"success": false, "message": "Exceed payload limit"}', now=0)
    Rejected(status=400, reason='Exceed payload limit')
    >>> read_response(200, {}, b"<html>Please log in</html>", now=0)
    UnexpectedResponse(status=200, reason='<html>Please log in</html>')
    >>> read_response(200, {}, b'{"succ', now=0)
    RetryLater(status=None, after_seconds=None, reason='the response was cut off')
    >>> read_response(302, {"location": "https://login.example.com/"}, b"", now=0)
    UnexpectedResponse(status=302, reason='no reason given')
    """
    if status in _CREDENTIALS_STATUSES:
        return CredentialsRejected(status)
    if status in _SUCCESS_STATUSES:
        return _read_success(status, body, is_end_announced=is_end_announced)
    reason = _reason(read_object(body), body)
    if status in RETRYABLE_STATUSES:
        after = read_retry_after(headers.get("retry-after"), now=now)
        capped = None if after is None else min(after, RETRY_AFTER_CAP_SECONDS)
        return RetryLater(status, capped, reason)
    if status in _REJECTED_STATUSES:
        return Rejected(status, reason)
    return UnexpectedResponse(status, reason)


def _read_success(status: int, body: bytes, *, is_end_announced: bool) -> Response:
    if is_cut_object(body, is_end_announced=is_end_announced):
        return no_response(CUT_OFF)
    fields = read_object(body)
    if fields is None and body.strip():
        return UnexpectedResponse(status, _reason(fields, body))
    if fields is not None and fields.get("success") is False:
        return Rejected(status, _reason(fields, body))
    return Acknowledged()


def no_response(reason: str, advice: str = "") -> RetryLater:
    """Return what a missing response means: retry, because Segment may or may not have queued the batch.

    Args:
        reason: the kind of failure.
        advice: what to do if it persists.

    >>> no_response("ReadTimeout")
    RetryLater(status=None, after_seconds=None, reason='ReadTimeout')
    """
    return RetryLater(None, None, reason, advice)


def _reason(fields: dict[str, Any] | None, body: bytes) -> str:
    message = fields.get("message") if fields is not None else None
    text = message if isinstance(message, str) else body[: 4 * _REASON_CHARACTERS].decode("utf-8", "replace")
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return line[:_REASON_CHARACTERS] or "no reason given"
