"""The Segment client posts a batch once, in the form Segment documents, and never raises for a response."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests
from fakes.recording_server import CannedResponse, RecordingServer, unannounced
from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    Rejected,
    UnexpectedResponse,
)
from airflow_provider_amplitude_segment.core.http.base_url import normal_host
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.sandbox import Sandbox


def batch(*user_ids: str, trait: str = "Power Users (26umsb5)") -> bytes:
    """Return the body of a batch that sends ``true`` for these users."""
    messages = [
        {"type": "identify", "userId": user, "traits": {trait: True}, "messageId": f"m-{trait}-{user}"}
        for user in user_ids
    ]
    return json.dumps({"batch": messages}).encode()


@pytest.fixture
def recorded() -> Iterator[tuple[RecordingServer, SegmentClient]]:
    """Return a server that records, and a client of it."""
    with RecordingServer(CannedResponse(body=b'{"success": true}')) as server:
        session = requests.Session()
        session.auth = HTTPBasicAuth("write-key", "")
        yield server, SegmentClient(session, server.url, 2)


def test_a_batch_is_told_to_segment(sandbox: Sandbox, segment: SegmentClient) -> None:
    """And acknowledged."""
    assert segment.post_batch(batch("ann", "bob")) == Acknowledged()
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (26umsb5)") == {"ann", "bob"}


def test_the_request_is_in_segments_own_form(recorded: tuple[RecordingServer, SegmentClient]) -> None:
    """The key with a colon, JSON, and the number of the retry where it is one."""
    server, client = recorded
    body = batch("ann")
    client.post_batch(body)
    client.post_batch(body, retry=2)
    first, second = server.came
    assert (first.method, first.path, first.body) == ("POST", "/v1/batch", body)
    assert first.headers["authorization"] == "Basic d3JpdGUta2V5Og=="
    assert first.headers["content-type"] == "application/json"
    assert "x-retry-count" not in first.headers
    assert second.headers["x-retry-count"] == "2"


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_a_base_url_may_end_with_the_version(end: str) -> None:
    """Some of Segment's own settings do."""
    with RecordingServer(CannedResponse(body=b'{"success": true}')) as server:
        client = SegmentClient(requests.Session(), server.url + end, 2)
        assert client.post_batch(b"{}") == Acknowledged()
        assert server.came[0].path == "/v1/batch"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(on="segment.batch", status=503), 503),
        (Fault(on="segment.batch", status=429), 429),
        (Fault(on="segment.batch", reset=True), None),
        (Fault(on="segment.batch", delay_seconds=4), None),
        (Fault(on="segment.batch", cut_after_bytes=3), None),
    ],
)
def test_what_passes_is_to_be_retried(
    sandbox: Sandbox, segment: SegmentClient, fault: Fault, status: int | None
) -> None:
    """Where no whole response came, the reason says why."""
    sandbox.faults.add(fault)
    response = segment.post_batch(batch("ann"))
    assert isinstance(response, RetryLater)
    assert response.status == status
    said = {"closed the connection", "was silent for too long", "was cut off"}
    assert status is not None or any(response.reason.endswith(words) for words in said)
    assert segment.post_batch(batch("ann")) == Acknowledged()


@pytest.mark.parametrize("received", [0, 1, 6, 16])
def test_a_cut_acknowledgment_is_none_and_the_same_messages_are_taken_once(
    sandbox: Sandbox, segment: SegmentClient, received: int
) -> None:
    """Segment queued the batch, but the client cannot know: it might have said that it did not."""
    sandbox.faults.add(Fault(on="segment.batch", cut_after_bytes=received, cut_unannounced=True))
    assert segment.post_batch(batch("ann")) == RetryLater(None, None, "the response was cut off")
    assert segment.post_batch(batch("ann")) == Acknowledged()
    assert sandbox.segment.duplicates_dropped == 1
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (26umsb5)") == {"ann"}


@pytest.mark.parametrize(
    "cut",
    [
        CannedResponse(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
        CannedResponse(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        CannedResponse(body=b"", content_length=17),
        CannedResponse(body=b'{"success": false, "mess'),
    ],
)
def test_no_cut_answer_is_a_refusal_or_another_servers(
    recorded: tuple[RecordingServer, SegmentClient], cut: CannedResponse
) -> None:
    server, client = recorded
    server.responses = [cut]
    response = client.post_batch(batch("ann"))
    assert isinstance(response, RetryLater)
    assert response.status is None


@pytest.mark.parametrize("whole", [unannounced(b'{"success": true}'), CannedResponse(204), CannedResponse(body=b"")])
def test_a_whole_acknowledgment_needs_no_announced_end(
    recorded: tuple[RecordingServer, SegmentClient], whole: CannedResponse
) -> None:
    """Its last brace ends it; a body that is said to be empty is whole as well."""
    server, client = recorded
    server.responses = [whole]
    assert client.post_batch(batch("ann")) == Acknowledged()


def test_too_much_is_refused(segment: SegmentClient) -> None:
    """Segment's own words are the reason."""
    response = segment.post_batch(batch(*(f"user-{number}" for number in range(6000))))
    assert isinstance(response, Rejected)
    assert response.status == 400


def test_no_redirect_is_followed(recorded: tuple[RecordingServer, SegmentClient]) -> None:
    """A body with user IDs goes to no other server."""
    server, client = recorded
    with RecordingServer() as elsewhere:
        server.responses = [CannedResponse(307, {"Location": elsewhere.url})]
        assert isinstance(client.post_batch(batch("ann")), UnexpectedResponse)
        assert elsewhere.came == []


def test_nobody_there_is_to_be_retried() -> None:
    """Both for a batch and for the test whether a server is there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = SegmentClient(requests.Session(), f"http://127.0.0.1:{free.getsockname()[1]}", 2)
    for response in (client.post_batch(b"{}"), client.reach()):
        assert response == RetryLater(None, None, "the server refuses the connection")


def test_whoever_answers_is_reached(recorded: tuple[RecordingServer, SegmentClient]) -> None:
    """With any status, and without a message."""
    server, client = recorded
    server.responses = [CannedResponse(404)]
    assert client.reach() == 404
    assert server.came[0].method == "GET"


def test_many_threads_may_post_at_once(sandbox: Sandbox, segment: SegmentClient) -> None:
    """Over one client, nothing is mixed up."""
    together = threading.Barrier(16)

    def post(number: int) -> Response:
        together.wait()
        return segment.post_batch(batch(f"user-{number}"))

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(16))) == {Acknowledged()}
    believed = sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (26umsb5)")
    assert believed == {f"user-{number}" for number in range(16)}


@pytest.mark.parametrize("url", ["https://api.segment.io", "https://API.segment.io/", "https://api.segment.io:443/v1/"])
def test_one_segment_has_one_name(url: str) -> None:
    """However its address is written."""
    assert normal_host(url) == "api.segment.io"
