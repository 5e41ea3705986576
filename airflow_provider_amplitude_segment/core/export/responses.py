"""What each response of Amplitude means while an export is requested and waited for.

Source: https://amplitude.com/docs/apis/analytics/behavioral-cohorts, unless another one is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

from airflow_provider_amplitude_segment.core.export.response_errors import (
    error_reason,
    is_success,
    is_transient,
    one_line,
    raise_for_status,
)
from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, HttpResponse, is_cut_object, read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, read_retry_after
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeUnavailableError,
    ExportFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAYBE_SPENT = "one of the month's exports may have been spent"
"""In an error, wherever it is not known whether Amplitude counted a request."""

POLLING = "polling an export's status"
"""In an error, what the request was for."""

_COMPLETED = "JOB COMPLETED"
_IN_PROGRESS = "JOB INPROGRESS"
_OK = 200


@dataclass(frozen=True, slots=True)
class ExportRequested(NotForXCom):
    """Amplitude accepted the request and counted it; the file can be fetched for seven days.

    Attributes:
        request_id: a short alphanumeric ID, to be saved before the next step.
    """

    request_id: str


@dataclass(frozen=True, slots=True)
class ExportsLimited(NotForXCom):
    """429: the month's exports are spent, or too many run at once. Only the usage shows which.

    Attributes:
        after_seconds: what ``Retry-After`` asks for; ``None`` without one. Amplitude documents none.
        reason: what Amplitude says.
    """

    after_seconds: float | None
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ExportCompleted(NotForXCom):
    """The file can be fetched."""


@dataclass(frozen=True, slots=True)
class ExportPending(NotForXCom):
    """The export is not completed.

    Attributes:
        said: the status; ``JOB INPROGRESS`` is the documented one.
    """

    said: str

    @property
    def documented(self) -> bool:
        """Whether the status is the documented one. Any other is waited out too, and logged."""
        return self.said == _IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Usage(NotForXCom):
    """Exports of this month, as Amplitude counts them.

    Attributes:
        usage: exports counted.
        limit: exports the plan has a month.
        resets_at: when the count starts again, as Amplitude writes it; ``None`` where Amplitude does not say.
    """

    usage: int
    limit: int
    resets_at: str | None = None

    @property
    def left(self) -> int:
        """Exports that can still be requested this month, at least 0."""
        return max(0, self.limit - self.usage)


def read_export_request(response: HttpResponse, *, now: float) -> ExportRequested | ExportsLimited:
    """Read the response to ``GET /api/5/cohorts/request/<cohort id>``, section "Get one cohort".

    The documents have 202; Segment's own client is tested against 200. So any 2xx with a ``request_id`` counts.

    Args:
        response: Amplitude's.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        AmplitudeUnavailableError: 408 and 5xx, or the response was cut off; the request may have been counted.
        ExportFailedError: Any other 4xx.
        AmplitudeAnswerError: A redirect, or a 2xx without a request ID.

    >>> read_export_request(HttpResponse(202, {}, b'{"request_id": "qfaZya", "cohort_id": "26umsb5"}'), now=0)
    ExportRequested(request_id='qfaZya')
    >>> read_export_request(HttpResponse(429, {"retry-after": "60"}, b""), now=0).after_seconds
    60.0
    """
    doing, status, body = "requesting an export", response.status, response.body
    if status == 429:  # noqa: PLR2004 - HTTP's own number
        return ExportsLimited(read_retry_after(response.headers.get("retry-after"), now=now), error_reason(body))
    raise_for_status(doing, status, f"{error_reason(body)}; {MAYBE_SPENT}")
    if not is_success(status):
        raise ExportFailedError(None, status, error_reason(body))
    if is_cut_object(body, is_end_announced=response.is_end_announced):
        raise AmplitudeUnavailableError(doing, status, f"{CUT_OFF}; {MAYBE_SPENT}")
    request_id = (read_object(body) or {}).get("request_id")
    if isinstance(request_id, int) and not isinstance(request_id, bool):
        request_id = str(request_id)
    if not isinstance(request_id, str) or not request_id.strip():
        raise AmplitudeAnswerError(doing, status, f"without a request_id; {MAYBE_SPENT}")
    return ExportRequested(request_id.strip())


def read_export_status(
    request_id: str, response: HttpResponse, *, now: float
) -> ExportCompleted | ExportPending | RetryLater:
    """Read the response to ``GET /api/5/cohorts/request-status/<request id>``, section "Get request status".

    The documents have 202 with ``JOB INPROGRESS`` and 200 with ``JOB COMPLETED``. Amplitude's own clients read the
    code and never count a 429 as a failure (experiment-python-server, cohort_download_api.py); others read the
    text. Where the two disagree, the text decides. An unknown text and a response that was cut off are waited out.

    Args:
        request_id: Goes into the error.
        response: Amplitude's.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        ExportFailedError: Any other 4xx but 408 and 429.
        AmplitudeAnswerError: A redirect.

    >>> read_export_status("qfaZya", HttpResponse(202, {}, b'{"async_status": "JOB INPROGRESS"}'), now=0)
    ExportPending(said='JOB INPROGRESS')
    >>> read_export_status("qfaZya", HttpResponse(200, {}, b'{"async_status": "JOB COMPLETED"}'), now=0)
    ExportCompleted()
    >>> read_export_status("qfaZya", HttpResponse(200, {}, b'{"async_status": "JOB QUEUED"}'), now=0)
    ExportPending(said='JOB QUEUED')
    >>> read_export_status("qfaZya", HttpResponse(503, {}, b""), now=0)
    RetryLater(status=503, after_seconds=None, reason='')
    """
    status, body = response.status, response.body
    if is_transient(status):
        return RetryLater(status, read_retry_after(response.headers.get("retry-after"), now=now))
    raise_for_status(POLLING, status)
    if not is_success(status):
        raise ExportFailedError(request_id, status, error_reason(body))
    if is_cut_object(body, is_end_announced=response.is_end_announced):
        return RetryLater(None, None, CUT_OFF)
    value = read_object(body)
    text = (value or {}).get("async_status")
    if isinstance(text, str) and text.strip():
        said = one_line(text).upper().replace("IN PROGRESS", "INPROGRESS")
        return ExportCompleted() if said == _COMPLETED else ExportPending(said)
    if value is None and body.strip():
        return ExportPending(f"HTTP {status} without JSON")
    return ExportCompleted() if status == _OK else ExportPending(f"HTTP {status} without a status")


def read_usage(status: int, body: bytes) -> Usage | None:
    """Read the response to ``GET /api/3/cohorts/usage``, section "Get usage"; return ``None`` for any other shape.

    The shape is not documented. Third parties show ``{"rest_download": {"limit", "usage", "resets_at"}}`` and,
    less surely, ``{"limit", "count"}``. Another shape fails no sync.

    >>> read_usage(200, b'{"rest_download": {"limit": 500, "usage": 12, "resets_at": "2026-12-01"}}')
    Usage(usage=12, limit=500, resets_at='2026-12-01')
    >>> read_usage(200, b'{"limit": 500, "count": 12}')
    Usage(usage=12, limit=500, resets_at=None)
    >>> read_usage(404, b"") is None
    True
    """
    value = read_object(body) if is_success(status) else None
    if value is None:
        return None
    nested = value.get("rest_download")
    counts = nested if isinstance(nested, dict) else value
    used = counts.get("usage", counts.get("count"))
    limit = counts.get("limit")
    if not _is_count(used) or not _is_count(limit):
        return None
    return Usage(used, limit, _moment(counts.get("resets_at")))


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _moment(value: object) -> str | None:
    if isinstance(value, str):
        return one_line(value) or None
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, tz=UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    return None


def property_query(names: Sequence[str]) -> str:
    """Return the query that adds user properties to an export; empty for none.

    "Add as many propKeys parameters as needed", with ``props=1``: section "Get one cohort".

    >>> property_query(["plan", "gp:home town"])
    '?props=1&propKeys=plan&propKeys=gp%3Ahome%20town'
    """
    if not names:
        return ""
    return "?" + urlencode([("props", "1"), *(("propKeys", name) for name in names)], quote_via=percent_encode)
