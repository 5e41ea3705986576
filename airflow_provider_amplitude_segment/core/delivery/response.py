"""What an answer of Segment's Tracking API means for the batch that was posted."""

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
    "Rejected",
    "Response",
    "RetryLater",
    "UnexpectedResponse",
    "Unreachable",
    "no_answer",
    "read_response",
]

# The table Segment's libraries came to in 2026: analytics-next packages/node (publisher.ts), analytics-python
# 2.4.0 (consumer.py), analytics-python#520. 511 is for OAuth, which is not used here.
RETRYABLE_STATUSES = frozenset({408, 410, 429, 460, *range(500, 600)} - {501, 505, 511})

# https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Errors": 400 is
# for payloads that are too large and for broken JSON. 413 and 422 are what a proxy makes of the same.
_REFUSED_STATUSES = frozenset({400, 413, 422})
_CREDENTIALS_STATUSES = frozenset({401, 403})
_SUCCESS_STATUSES = range(200, 300)

RETRY_AFTER_CAP_SECONDS = 300.0
"""Longer waits are cut to this, as Segment's libraries do."""

_REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Acknowledged(NotForXCom):
    """The batch is queued at Segment, which is as much as it ever promises."""


@dataclass(frozen=True, slots=True)
class Rejected(NotForXCom):
    """Nothing of this batch was queued, and the same bytes never will be.

    Attributes:
        status: HTTP status code.
        reason: what Segment says.
    """

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class CredentialsRejected(NotForXCom):
    """We are refused, not the batch. Segment does not document this, a gateway before it may do it.

    Attributes:
        status: 401 or 403.
    """

    status: int


@dataclass(frozen=True, slots=True)
class UnexpectedResponse(NotForXCom):
    """What answered is not Segment's Tracking API: a redirect, a missing page, a proxy's own page.

    Attributes:
        status: HTTP status code.
        reason: what it says.
    """

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Unreachable(NotForXCom):
    """Nothing was sent, and no retry changes that: an untrusted certificate, a missing package.

    Attributes:
        reason: why, in words.
        advice: what cures it, in a sentence.
    """

    reason: str
    advice: str = field(default="", compare=False, repr=False)


Failure = RetryLater | CredentialsRejected | UnexpectedResponse | Unreachable
"""What ends a delivery, where it is the last answer."""

Response = Acknowledged | Rejected | Failure


def read_response(
    status: int, headers: Mapping[str, str], body: bytes, *, now: float, is_end_announced: bool = True
) -> Response:
    """Decide what a response to ``POST /v1/batch`` means.

    A success whose body was cut off may have been a refusal, so the same messages are sent again under their IDs.

    Args:
        status: HTTP status code.
        headers: Response headers with lower-case names.
        body: Response body; ``{"success": true}`` where all went well.
        now: Seconds since 1970-01-01 UTC, for a ``Retry-After`` that is a date.
        is_end_announced: Whether anything said where the body ends.

    >>> read_response(200, {}, b'{"success": true}', now=0)
    Acknowledged()
    >>> read_response(429, {"retry-after": "7"}, b"", now=0)
    RetryLater(status=429, after_seconds=7.0, reason='no reason given')
    >>> read_response(400, {}, b'{"success": false, "message": "Exceed payload limit"}', now=0)
    Refused(status=400, reason='Exceed payload limit')
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
    if status in _REFUSED_STATUSES:
        return Rejected(status, reason)
    return UnexpectedResponse(status, reason)


def _read_success(status: int, body: bytes, *, is_end_announced: bool) -> Response:
    if is_cut_object(body, is_end_announced=is_end_announced):
        return no_answer(CUT_OFF)
    answer = read_object(body)
    if answer is None and body.strip():
        return UnexpectedResponse(status, _reason(answer, body))
    if answer is not None and answer.get("success") is False:
        return Rejected(status, _reason(answer, body))
    return Acknowledged()


def no_answer(reason: str, advice: str = "") -> RetryLater:
    """Return what it means that no answer came: Segment may have queued the batch, or not.

    Args:
        reason: The kind of failure.
        advice: What to do if it stays so.

    >>> no_answer("ReadTimeout")
    RetryLater(status=None, after_seconds=None, reason='ReadTimeout')
    """
    return RetryLater(None, None, reason, advice)


def _reason(answer: dict[str, Any] | None, body: bytes) -> str:
    told = answer.get("message") if answer is not None else None
    text = told if isinstance(told, str) else body[: 4 * _REASON_CHARACTERS].decode("utf-8", "replace")
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return line[:_REASON_CHARACTERS] or "no reason given"
