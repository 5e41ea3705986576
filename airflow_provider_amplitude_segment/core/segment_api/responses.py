"""What every response of the Public API has in common: its data, its errors, and when to ask again.

Sources: Segment's own SDK, https://github.com/segmentio/public-api-sdk-typescript, and https://docs.segmentapis.com.
Every success is ``{"data": {…}}``, every error ``{"errors": [{"type", "message"?, "field"?, "data"?}]}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object, number_of, read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, read_retry_after
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import SegmentApiAnswerError, SegmentApiRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse

_QUOTED_CHARACTERS = 200
_TOO_MANY = 429
_REFUSED = frozenset({401, 403})
_TRY_LATER = frozenset({408, _TOO_MANY})
_REDIRECTS = range(300, 400)

# A token has 60 and more characters, a write key 32; Segment's IDs have up to 22.
_KEY_LIKE = re.compile(r"[^\s'\"`]{24,}")


@dataclass(frozen=True, slots=True)
class ApiRequest(NotForXCom):
    """A request as an error names it.

    Attributes:
        conn_id: the connection that has the token.
        doing: what Segment is asked, in words, e.g. ``which sources the workspace has``.
    """

    conn_id: str
    doing: str

    def wrong_answer(self, status: int, reason: str) -> SegmentApiAnswerError:
        """Return the error for a response that Segment does not document."""
        return SegmentApiAnswerError(self.conn_id, self.doing, status, reason)


@dataclass(frozen=True, slots=True)
class ResponseData(NotForXCom):
    """The ``data`` of a response of the Public API.

    Attributes:
        request: what it responds to.
        status: HTTP status code.
        values: by name; may hold write keys and user IDs.
    """

    request: ApiRequest
    status: int
    values: Mapping[str, Any] = field(repr=False)

    def object(self, name: str) -> dict[str, Any]:
        """Return the object of a name.

        Raises:
            SegmentApiAnswerError: There is none.
        """
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.request.wrong_answer(self.status, f"without an object {name!r}")
        return value

    def objects(self, name: str) -> list[dict[str, Any]]:
        """Return the objects in the list of a name; any other entry is left out.

        Raises:
            SegmentApiAnswerError: There is no such list.
        """
        value = self.values.get(name)
        if not isinstance(value, list):
            raise self.request.wrong_answer(self.status, f"without a list {name!r}")
        return [entry for entry in value if isinstance(entry, dict)]

    def next_cursor(self) -> str | None:
        """Return the cursor of the next page; ``None`` on the last one.

        >>> ResponseData(ApiRequest("c", "x"), 200, {"pagination": {"current": "MA==", "next": "Mg=="}}).next_cursor()
        'Mg=='
        >>> ResponseData(ApiRequest("c", "x"), 200, {"pagination": {"current": "MA=="}}).next_cursor()
        """
        pagination = self.values.get("pagination")
        cursor = pagination.get("next") if isinstance(pagination, dict) else None
        return cursor if isinstance(cursor, str) and cursor else None


def read_response(response: HttpResponse, request: ApiRequest, *, now: float) -> ResponseData | RetryLater:
    """Return the data of a response, or that the same request may succeed later.

    401 and 403 are not documented. Segment's clients read them as a token that is wrong, without rights, or of the
    other region.

    Args:
        response: Segment's.
        request: What it responds to.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        SegmentApiRefusedError: 401 and 403.
        SegmentApiAnswerError: Any other status than 2xx, 408, 429 and 5xx, 404 and 422 among them; or a 2xx without
            data.

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> request = ApiRequest("segment_api_default", "which workspace its token opens")
    >>> read_response(HttpResponse(200, {}, b'{"data": {"workspace": {}}}'), request, now=0).values
    {'workspace': {}}
    >>> read_response(HttpResponse(429, {"retry-after": "7"}, b""), request, now=0).after_seconds
    7.0
    >>> read_response(HttpResponse(200, {}, b'{"data": {"wor'), request, now=0).reason
    'the response was cut off'
    """
    status, body = response.status, response.body
    transient = read_transient(response, now=now)
    if transient is not None:
        return transient
    raise_for_status(response, request)
    value = read_object(body) or {}
    data = value.get("data")
    if not isinstance(data, dict):
        raise request.wrong_answer(status, "not the JSON of the Public API")
    return ResponseData(request, status, data)


def read_transient(response: HttpResponse, *, now: float) -> RetryLater | None:
    """Return that the same request may succeed later; ``None`` where it would have the same response.

    A 2xx is transient where only a part of its body came.

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> [read_transient(HttpResponse(status, {}, b""), now=0) is None for status in (200, 404, 408, 429, 500, 503)]
    [True, True, False, False, False, False]
    """
    status = response.status
    if status in _TRY_LATER or status >= 500:  # noqa: PLR2004 - HTTP's own number
        return RetryLater(status, read_wait(response, now=now), error_reason(response.body))
    is_success = 200 <= status < 300  # noqa: PLR2004 - HTTP's own numbers
    if is_success and is_cut_object(response.body, is_end_announced=response.is_end_announced):
        return RetryLater(None, None, CUT_OFF)
    return None


def raise_for_status(response: HttpResponse, request: ApiRequest) -> None:
    """Raise the error that a status means which is not transient; return for 2xx.

    Raises:
        SegmentApiRefusedError: 401 and 403.
        SegmentApiAnswerError: Any other status but 2xx.
    """
    status = response.status
    if status in _REFUSED:
        raise SegmentApiRefusedError(request.conn_id, request.doing, status)
    if status in _REDIRECTS:
        raise request.wrong_answer(status, "a redirect that was not followed")
    if not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own numbers
        raise request.wrong_answer(status, error_reason(response.body))


def read_wait(response: HttpResponse, *, now: float) -> float | None:
    """Return the seconds that a response asks to wait; ``None`` where it asks for none.

    ``Retry-After`` is in whole seconds ("Prefer this over your own backoff": each operation of Segment's SDK). A 429
    without it may have ``X-RateLimit-Reset``, a date as in e-mails, or ``data.msBeforeNext`` in its error
    (https://docs.segmentapis.com/tag/Rate-Limits).

    >>> from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    >>> read_wait(HttpResponse(503, {"retry-after": "3"}, b""), now=0)
    3.0
    >>> read_wait(HttpResponse(429, {"x-ratelimit-reset": "Thu, 01 Jan 1970 00:01:40 +0000"}, b""), now=40)
    60.0
    >>> read_wait(HttpResponse(429, {}, b'{"errors": [{"type": "x", "data": {"msBeforeNext": 1500}}]}'), now=0)
    1.5
    >>> read_wait(HttpResponse(429, {}, b""), now=0) is None
    True
    """
    after = read_retry_after(response.headers.get("retry-after"), now=now)
    if after is not None or response.status != _TOO_MANY:
        return after
    reset = response.headers.get("x-ratelimit-reset") or ""
    # Only a date has a colon; a number would be of an unknown unit.
    after = read_retry_after(reset, now=now) if ":" in reset else None
    if after is not None:
        return after
    data = _first_error(response.body).get("data")
    milliseconds = number_of(data.get("msBeforeNext")) if isinstance(data, dict) else None
    return None if milliseconds is None else milliseconds / 1000


def error_reason(body: bytes) -> str:
    """Return the reason in an error's body, on one line, without anything that may be a key.

    >>> error_reason(b'{"errors": [{"type": "not-found", "message": "source was not found"}]}')
    'not-found: source was not found'
    >>> error_reason(b"<html>")
    'no reason given'
    """
    error = _first_error(body)
    said = [text for text in (error.get("type"), error.get("message")) if isinstance(text, str) and text.strip()]
    return quoted(": ".join(said)) or "no reason given"


def quoted(text: str) -> str:
    r"""Return at most 200 characters of a server's text on one line, without anything as long as a key.

    >>> quoted("no such\n token sgp_0123456789abcdefghijklmnop")
    'no such token …'
    """
    line = " ".join(_KEY_LIKE.sub("…", text).split())
    return "".join(character for character in line if character.isprintable())[:_QUOTED_CHARACTERS]


def _first_error(body: bytes) -> dict[str, Any]:
    errors = (read_object(body) or {}).get("errors")
    found = errors[0] if isinstance(errors, list) and errors else None
    return found if isinstance(found, dict) else {}


def texts_in(value: object) -> list[str]:
    r"""Return the texts in a list that are not empty; none where it is no list.

    JSON can spell half a surrogate pair. No key and no user ID that was ever sent has one.

    >>> texts_in(["ann", "", 7, "\ud800"]), texts_in("ann")
    (['ann'], [])
    """
    found = [text for text in value if isinstance(text, str) and text] if isinstance(value, list) else []
    return [text for text in found if text.encode("utf-8", "replace").decode() == text]


def text_of(values: Mapping[str, Any], *names: str) -> str:
    """Return the first of several texts that is one and not blank; empty where none is.

    >>> text_of({"name": "", "slug": "python"}, "name", "slug")
    'python'
    """
    found = (values.get(name) for name in names)
    # JSON can spell half a surrogate pair, which no log can write.
    texts = (text.encode("utf-8", "replace").decode() for text in found if isinstance(text, str) and text.strip())
    return next(texts, "")
