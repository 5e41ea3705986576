"""Each of Amplitude's responses about an export is taken for what it is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.export.responses import (
    ExportCompleted,
    ExportPending,
    ExportRequested,
    ExportsLimited,
    Usage,
    read_export_request,
    read_export_status,
    read_usage,
)
from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    AmplitudeError,
    AmplitudeUnavailableError,
    ExportFailedError,
)

EPOCH = "1970-01-01T00:00:00+00:00"
STATUSES = st.integers(100, 599)
BODIES = st.binary() | st.sampled_from(
    [
        b'{"request_id": 3}',
        b'{"async_status": []}',
        b'{"rest_download": {"usage": "x"}}',
        b"null",
        b'"x"',
        b"{",
    ]
)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_with_a_request_id_is_a_request(status: int) -> None:
    """202 is documented, and 200 was seen."""
    response = read_export_request(HttpResponse(status, {}, b'{"request_id": "qfaZya", "cohort_id": "x"}'), now=0)
    assert response == ExportRequested("qfaZya")


def test_429_is_a_limit_and_says_what_amplitude_says() -> None:
    """Which of the two limits it is stays open."""
    response = read_export_request(
        HttpResponse(429, {"retry-after": "60"}, b'{"error": {"message": "too many"}}'), now=0
    )
    assert response == ExportsLimited(60.0)
    assert isinstance(response, ExportsLimited)
    assert response.reason == "too many"


@pytest.mark.parametrize("status", [408, 500, 503])
def test_a_failing_server_may_have_counted_the_request(status: int) -> None:
    """The error can be retried, and says that an export may have been spent."""
    with pytest.raises(AmplitudeUnavailableError, match="may have been spent"):
        read_export_request(HttpResponse(status, {}, b""), now=0)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"request_id": null}', b'{"request_id": " "}'])
def test_a_success_without_a_request_id_is_no_answer_of_amplitude(body: bytes) -> None:
    """It says that an export may have been spent, too."""
    with pytest.raises(AmplitudeAnswerError, match="may have been spent"):
        read_export_request(HttpResponse(202, {}, body), now=0)


def test_a_refused_request_says_why() -> None:
    """Amplitude's own words are in the error."""
    with pytest.raises(ExportFailedError, match="HTTP 400: invalid cohort"):
        read_export_request(HttpResponse(400, {}, b'{"error": {"message": "invalid cohort"}}'), now=0)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_never_waited_out(status: int) -> None:
    """Neither while requesting nor while asking."""
    with pytest.raises(AmplitudeCredentialsError):
        read_export_request(HttpResponse(status, {}, b""), now=0)
    with pytest.raises(AmplitudeCredentialsError):
        read_export_status("qfaZya", HttpResponse(status, {}, b""), now=0)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"async_status": "JOB COMPLETED"}'),
        (202, b'{"async_status": "JOB COMPLETED"}'),
        (200, b'{"async_status": "job completed "}'),
        (200, b"{}"),
        (200, b""),
    ],
)
def test_an_export_is_completed_by_its_status_or_its_text(status: int, body: bytes) -> None:
    """Amplitude's own clients go by the status, others by the text."""
    assert read_export_status("qfaZya", HttpResponse(status, {}, body), now=0) == ExportCompleted()


@pytest.mark.parametrize(
    ("status", "body", "text", "documented"),
    [
        (202, b'{"async_status": "JOB INPROGRESS"}', "JOB INPROGRESS", True),
        (200, b'{"async_status": "JOB INPROGRESS"}', "JOB INPROGRESS", True),
        (202, b'{"async_status": "JOB IN PROGRESS"}', "JOB INPROGRESS", True),
        (202, b'{"async_status": "JOB QUEUED"}', "JOB QUEUED", False),
        (200, b'{"async_status": "JOB FAILED"}', "JOB FAILED", False),
        (202, b"", "HTTP 202 without a status", False),
        (200, b"<html>Please log in</html>", "HTTP 200 without JSON", False),
    ],
)
def test_everything_else_that_succeeds_is_waited_out(status: int, body: bytes, text: str, *, documented: bool) -> None:
    """An undocumented status is marked as such, for the log."""
    response = read_export_status("qfaZya", HttpResponse(status, {}, body), now=0)
    assert response == ExportPending(text)
    assert isinstance(response, ExportPending)
    assert response.documented is documented


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_asked_again(status: int) -> None:
    """With the wait that was asked for."""
    assert read_export_status("qfaZya", HttpResponse(status, {"retry-after": "9"}, b""), now=0) == RetryLater(
        status, 9.0
    )


@pytest.mark.parametrize("status", [400, 404, 410])
def test_any_other_refusal_ends_the_export(status: int) -> None:
    """The error holds the request's ID."""
    with pytest.raises(ExportFailedError) as caught:
        read_export_status("qfaZya", HttpResponse(status, {}, b"gone"), now=0)
    assert caught.value.request_id == "qfaZya"


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            b'{"rest_download": {"limit": 500, "usage": 12, "resets_at": "2026-12-01T00:00:00Z"}}',
            Usage(12, 500, "2026-12-01T00:00:00Z"),
        ),
        (
            b'{"rest_download": {"limit": 500, "usage": 12, "resets_at": 0}}',
            Usage(12, 500, EPOCH),
        ),
        (b'{"limit": 500, "count": 501}', Usage(501, 500)),
        (b'{"limit": 500, "usage": 0, "resets_at": null}', Usage(0, 500)),
        (b'{"limit": null, "usage": 0}', None),
        (b'{"limit": "500", "usage": true}', None),
        (b'{"rest_download": {}}', None),
        (b"<html>", None),
    ],
)
def test_usage_is_read_in_both_shapes_and_else_not_known(body: bytes, usage: Usage | None) -> None:
    """It is never a reason to fail."""
    assert read_usage(200, body) == usage


def test_what_is_left_is_never_negative() -> None:
    """Amplitude may count more than the limit."""
    assert Usage(501, 500).left == 0


@given(STATUSES, BODIES, st.text(max_size=20))
def test_no_answer_crashes_a_reader(status: int, body: bytes, retry_after: str) -> None:
    """Whatever the response, the outcome is a response or an error of ours."""
    headers = {"retry-after": retry_after}
    read_usage(status, body)
    with suppress(AmplitudeError):
        read_export_request(HttpResponse(status, headers, body), now=0)
    with suppress(AmplitudeError):
        read_export_status("qfaZya", HttpResponse(status, headers, body), now=0)
