"""What each response of the Profile API means: https://www.twilio.com/docs/segment/unify/profile-api.

No text of the server goes into an error, because the request names a user, and the server may quote it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.http.response_body import read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.core.segment_api.profile import (
    ProfileAbsent,
    ProfileUnreadable,
    TraitAbsent,
    TraitFound,
)
from airflow_provider_amplitude_segment.core.segment_api.responses import raise_for_status, read_transient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest

_NOT_FOUND = 404
# 400: "the request was unacceptable"; 414 and 431: its address is too long. Each is about this one user ID.
_UNREADABLE = frozenset({400, 414, 422, 431})
_REQUEST_ID = re.compile(r"[\w-]{1,64}")

# Codes of errors that the page lists; a code of another form may be a quotation.
_CODE = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True, repr=False)
class NextPage(NotForXCom):
    """The trait is not on this page, and there is another one.

    Attributes:
        cursor: of that page.
    """

    cursor: str


@dataclass(frozen=True, slots=True)
class UserIds(NotForXCom):
    """A page of a profile's user IDs.

    Attributes:
        user_ids: of this page.
        cursor: of the next page; ``None`` on the last one.
    """

    user_ids: tuple[str, ...] = field(repr=False)
    cursor: str | None = field(default=None, repr=False)


def read_trait(response: HttpResponse, request: ApiRequest, trait: str, *, now: float) -> ProfileAnswer | NextPage:
    """Read a response to ``GET …/profiles/user_id:<id>/traits?verbose=true``, section "Get a profile's traits".

    With ``verbose`` a trait is ``{"value", "source_id", "updated_at"}``; without it the value alone, which is read as
    well. A trait that was sent as ``null`` is removed, so ``null`` is no value.

    Args:
        response: Segment's.
        request: What it responds to.
        trait: The trait's key, as it was sent.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        SegmentApiRefusedError: 401 and 403.
        SegmentApiAnswerError: The response is not about a profile, for example because the space is unknown.

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest
    >>> request = ApiRequest("segment_api_default", "what it has of a user's trait")
    >>> def read(status, body):
    ...     return read_trait(HttpResponse(status, {}, body), request, "VIP (c1)", now=0)
    >>> read(200, b'{"traits": {"VIP (c1)": {"value": true, "source_id": "q"}}, "cursor": {"has_more": false}}').value
    True
    >>> read(200, b'{"traits": {}, "cursor": {"has_more": false, "next": ""}}')
    TraitAbsent()
    >>> read(200, b'{"traits": {"age": 9}, "cursor": {"has_more": true, "next": "age"}}').cursor
    'age'
    >>> read(404, b'{"error": {"code": "not_found", "message": "Profile was not found."}}')
    ProfileAbsent()
    >>> read(400, b'{"error": {"code": "validation_error", "message": "invalid character"}}')
    ProfileUnreadable(status=400)
    >>> read(429, b"").status
    429
    """
    body = _read_profile(response, request, now=now)
    if not isinstance(body, dict):
        return body
    traits = body.get("traits")
    if not isinstance(traits, dict):
        raise request.wrong_answer(response.status, f"without traits{_request_id(response)}")
    if trait in traits:
        value = traits[trait]
        value = value["value"] if isinstance(value, dict) and "value" in value else value
        return TraitAbsent() if value is None else TraitFound(value)
    cursor = _next_cursor(body)
    return TraitAbsent() if cursor is None else NextPage(cursor)


def read_user_ids(response: HttpResponse, request: ApiRequest, *, now: float) -> UserIds | ProfileAnswer:
    """Read a response to ``GET …/profiles/user_id:<id>/external_ids``, section "External IDs".

    Each external ID is ``{"id", "type", …}``; only those of the type ``user_id`` are returned.

    Raises:
        SegmentApiRefusedError: 401 and 403.
        SegmentApiAnswerError: The response is not about a profile.

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest
    >>> body = b'{"data": [{"type": "user_id", "id": "ann"}, {"type": "email", "id": "x"}], "cursor": {"next": ""}}'
    >>> read_user_ids(HttpResponse(200, {}, body), ApiRequest("c", "x"), now=0).user_ids
    ('ann',)
    """
    body = _read_profile(response, request, now=now)
    if not isinstance(body, dict):
        return body
    entries = body.get("data")
    if not isinstance(entries, list):
        raise request.wrong_answer(response.status, f"without external IDs{_request_id(response)}")
    found = (entry.get("id") for entry in entries if isinstance(entry, dict) and entry.get("type") == "user_id")
    return UserIds(tuple(user for user in found if isinstance(user, str)), _next_cursor(body))


def _read_profile(response: HttpResponse, request: ApiRequest, *, now: float) -> dict[str, Any] | ProfileAnswer:
    transient = read_transient(response, now=now)
    if transient is not None:
        return RetryLater(transient.status, transient.after_seconds, "" if transient.status else transient.reason)
    if response.status in _UNREADABLE:
        return ProfileUnreadable(response.status)
    if response.status == _NOT_FOUND:
        if is_about_the_profile(response.body):
            return ProfileAbsent()
        reason = f"{_error_code(response.body)}, and not that a profile is not found; check the space ID"
        raise request.wrong_answer(_NOT_FOUND, f"{reason}{_request_id(response)}")
    # The body of an error could quote the user.
    raise_for_status(_without_body(response), request)
    body = read_object(response.body)
    if body is None:
        raise request.wrong_answer(response.status, f"not the JSON of the Profile API{_request_id(response)}")
    return body


def is_about_the_profile(body: bytes) -> bool:
    """Return whether the body of a 404 says that the profile is missing, rather than the space or the address.

    The page documents only ``{"error": {"code": "not_found", "message": "Profile was not found."}}``; what a space has
    as a response that does not exist is not documented.

    >>> is_about_the_profile(b'{"error": {"code": "not_found", "message": "Profile was not found."}}')
    True
    >>> is_about_the_profile(b'{"error": {"code": "not_found", "message": "Space was not found."}}')
    False
    >>> is_about_the_profile(b"404 page not found")
    False
    """
    error = (read_object(body) or {}).get("error")
    if not isinstance(error, dict) or error.get("code") != "not_found":
        return False
    message = error.get("message")
    return isinstance(message, str) and "profile" in message.lower()


def _error_code(body: bytes) -> str:
    error = (read_object(body) or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "no error of the Profile API"


def _next_cursor(body: Mapping[str, Any]) -> str | None:
    cursor = body.get("cursor")
    if not isinstance(cursor, dict) or cursor.get("has_more") is False:
        return None
    following = cursor.get("next")
    return following if isinstance(following, str) and following else None


def _request_id(response: HttpResponse) -> str:
    # "If you need to contact Segment regarding a specific API request, please capture and provide the Request-Id."
    found = response.headers.get("request-id", "")
    return f" (Request-Id {found})" if _REQUEST_ID.fullmatch(found) else ""


def _without_body(response: HttpResponse) -> HttpResponse:
    return type(response)(response.status, response.headers, b"", is_end_announced=response.is_end_announced)
