"""Each of Segment's answers is taken for what it means to the batch, to us, or to the host."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    CredentialsRejected,
    Rejected,
    UnexpectedResponse,
    no_response,
    read_response,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, RetryPolicy


@pytest.mark.parametrize("body", [b'{"success": true}', b"{}", b"", b" \n"])
@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_success_is_acknowledged(status: int, body: bytes) -> None:
    """With Segment's body, or with none."""
    assert read_response(status, {}, body, now=0) == Acknowledged()


def test_a_success_that_says_it_is_none_is_refused() -> None:
    """The body goes before the status."""
    body = b'{"success": false, "message": "malformed JSON"}'
    assert read_response(200, {}, body, now=0) == Rejected(200, "malformed JSON")


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"OK", b"[]", b"true", b"\xff\xfe"])
def test_a_success_without_a_json_object_is_somebody_elses(body: bytes) -> None:
    """A captive portal answers 200 to everything; Segment received nothing."""
    assert isinstance(read_response(200, {}, body, now=0), UnexpectedResponse)


@pytest.mark.parametrize("status", [408, 410, 429, 460, 500, 502, 503, 504, 520, 529, 599])
def test_what_passes_is_retried(status: int) -> None:
    """The same bytes may be taken later."""
    assert read_response(status, {}, b'{"message": "busy"}', now=0) == RetryLater(status, None, "busy")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refused_bytes_are_never_sent_again(status: int) -> None:
    """They are halved instead."""
    body = b'{"success": false, "message": "Exceed payload limit"}'
    assert read_response(status, {"retry-after": "5"}, body, now=0) == Rejected(status, "Exceed payload limit")


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_ours(status: int) -> None:
    """No message is to blame."""
    assert read_response(status, {}, b"", now=0) == CredentialsRejected(status)


@pytest.mark.parametrize("status", [301, 302, 307, 404, 405, 451, 501, 505, 511, 100, 600])
def test_what_segment_never_answers_is_not_segment(status: int) -> None:
    """A redirect is not followed and a missing page is not retried."""
    assert isinstance(read_response(status, {"location": "https://example.com"}, b"", now=0), UnexpectedResponse)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("100000", 300.0), ("Thu, 01 Jan 1970 00:00:20 GMT", 10.0), ("soon", None)],
)
def test_retry_after_is_honoured_up_to_five_minutes(value: str, seconds: float | None) -> None:
    """In seconds and as a date, on every status that is retried."""
    for status in (429, 503):
        answer = read_response(status, {"retry-after": value}, b"", now=10)
        assert answer == RetryLater(status, seconds, "no reason given")


def test_a_reason_is_one_line_of_at_most_200_characters() -> None:
    """It goes into messages and reports."""
    answer = read_response(400, {}, b"a\r\nb\x1b[31m " + b"c" * 100_000, now=0)
    assert isinstance(answer, Rejected)
    assert answer.reason.startswith("a b[31m c")
    assert len(answer.reason) == 200


def test_no_answer_is_retried() -> None:
    """Segment may have queued the batch."""
    assert no_response("ReadTimeout") == RetryLater(None, None, "ReadTimeout")


@given(st.integers(0, 999), st.binary(), st.text(max_size=20))
def test_no_answer_crashes_the_reader(status: int, body: bytes, retry_after: str) -> None:
    """Every answer has a meaning, and only a 2xx is an acknowledgement."""
    answer = read_response(status, {"retry-after": retry_after}, body, now=0)
    assert not isinstance(answer, Acknowledged) or 200 <= status < 300


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_grows_to_its_cap_and_keeps_within_its_jitter(retry: int, random: float) -> None:
    """About 0.5 s, 1 s, 2 s up to a minute, each a tenth shorter or longer."""
    policy = RetryPolicy()
    middle = min(60.0, 0.5 * 2.0 ** min(retry - 1, 30))
    assert 0.9 * middle <= policy.back_off_seconds(retry, random) <= 1.1 * middle
