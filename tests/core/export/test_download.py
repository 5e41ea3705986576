"""An export's file is taken from the response, or from a link that may be followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.export.download import (
    Inline,
    StorageLink,
    is_safe_link,
    read_file_response,
    read_storage_response,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    ExportFailedError,
)

LINK = "https://bucket.s3.us-west-2.amazonaws.com/x.csv?X-Amz-Signature=abc"


def test_200_is_the_file_itself() -> None:
    """A small cohort comes at once."""
    assert read_file_response("qfaZya", 200, {}, now=0) == Inline()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_link_to_storage(status: int) -> None:
    """The link is signed, so it does not show."""
    response = read_file_response("qfaZya", status, {"location": LINK}, now=0)
    assert response == StorageLink(LINK)
    assert "Signature" not in repr(response)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "/x.csv",
        "http://bucket.s3.amazonaws.com/x",
        "http://localhost.example.com/x",
        "http://127.0.0.1.example.com/x",
        "http://0x7f000001.example.com/",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user:word@bucket.s3.amazonaws.com/x",
        "http://127.0.0.1\\@bucket.example.com/x",
        "http://127.0.0.1 .example.com/",
        "https://bucket\n.example.com/",
        "https://[::1/x",
        "https://bucket:port/x",
    ],
)
def test_a_link_that_is_not_https_is_not_followed(link: str) -> None:
    """Nor one whose host can be read in two ways; the link itself is not in the message."""
    with pytest.raises(AmplitudeAnswerError, match="not followed") as caught:
        read_file_response("qfaZya", 302, {"location": link}, now=0)
    assert not link or link not in str(caught.value)


@pytest.mark.parametrize("link", ["http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]:1/x", LINK])
def test_https_and_this_machine_are_followed(link: str) -> None:
    """The sandbox is on this machine."""
    assert is_safe_link(link)


@given(st.text())
def test_no_link_crashes_the_check(link: str) -> None:
    """Any text is a link that is safe, or is not."""
    is_safe_link(link)
    is_safe_link(f"https://{link}")


@pytest.mark.parametrize("status", [401, 403])
def test_403_is_about_keys_at_amplitude_and_about_the_link_at_storage(status: int) -> None:
    """A link whose minute is over is fetched anew."""
    with pytest.raises(AmplitudeCredentialsError):
        read_file_response("qfaZya", status, {}, now=0)
    assert read_storage_response("qfaZya", status, {}, now=0) == RetryLater(status)


def test_404_is_final_at_amplitude_and_passing_at_storage() -> None:
    """Amplitude keeps a file for seven days."""
    with pytest.raises(ExportFailedError, match="seven days"):
        read_file_response("qfaZya", 404, {}, now=0)
    assert read_storage_response("qfaZya", 404, {}, now=0) == RetryLater(404)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_asked_again(status: int) -> None:
    """By both, with the wait that was asked for."""
    for read in (read_file_response, read_storage_response):
        assert read("qfaZya", status, {"retry-after": "3"}, now=0) == RetryLater(status, 3.0)


def test_a_success_without_a_file_is_an_error() -> None:
    """204 and 206 are no files."""
    with pytest.raises(AmplitudeAnswerError):
        read_file_response("qfaZya", 204, {}, now=0)
