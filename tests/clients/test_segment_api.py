"""The Public API's client reads pages, waits out what is transient, and lets no secret out."""

from __future__ import annotations

import copy
import gzip
import json
import logging
import pickle
import socket
import socketserver
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fakes.clock import FakeClock
from fakes.recording_server import CannedResponse, RecordingServer, unannounced

from airflow_provider_amplitude_segment.clients import request
from airflow_provider_amplitude_segment.clients.public_request import Waiting
from airflow_provider_amplitude_segment.clients.segment_api import SegmentApiClient
from airflow_provider_amplitude_segment.core.ledger.stream import key_fingerprint
from airflow_provider_amplitude_segment.core.segment_api.identify_counts import IdentifyCounts
from airflow_provider_amplitude_segment.core.segment_api.retries import FEW_RETRIES, RETRIES
from airflow_provider_amplitude_segment.core.segment_api.source_check import find_keys
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit
from airflow_provider_amplitude_segment.core.segment_api.workspace import (
    ConnectedDestination,
    IdentifyRules,
    ListedSource,
    Space,
    Workspace,
)
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
    SegmentApiUnreachableError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy

TOKEN = "sgp_public-token-0123456789-0123456789"
KEY = "write-key-0123456789-0123456789-"
USER = "ann+news@example.com"
HOST = "api.segment.io"
WORKSPACE = {"workspace": {"id": "9aQ1", "slug": "acme", "name": "Acme"}}

ASK: list[Callable[[SegmentApiClient], object]] = [
    lambda api: api.workspace(),
    lambda api: list(api.sources(HOST)),
    lambda api: api.identify_rules("qQE3"),
    lambda api: api.connected_destinations("qQE3"),
    lambda api: api.identify_counts("qQE3", 60, 120),
    lambda api: list(api.suppressed_users()),
    lambda api: api.spaces(),
]


def data(cursor: str | None = None, **values: object) -> CannedResponse:
    """Return a success, as a page where there is a cursor of the next one."""
    pagination = {"pagination": {"current": "MA==", **({"next": cursor} if cursor else {})}}
    return CannedResponse(body=json.dumps({"data": {**values, **pagination}}).encode())


def error(status: int, message: str = "", **headers: str) -> CannedResponse:
    """Return an error as Segment's SDK reads it."""
    body = {"errors": [{"type": "some-type", "message": message}]}
    return CannedResponse(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode()
    )


def source(source_id: str, *keys: str, **more: object) -> dict[str, Any]:
    """Return a source as the Public API lists it."""
    return {"id": source_id, "slug": source_id, "name": source_id, "enabled": True, "writeKeys": [*keys], **more}


class Tried:
    """A client, its time, and what it waited."""

    def __init__(self, url: str, retries: RetryPolicy = RETRIES, *, token: str = TOKEN) -> None:
        self.clock = FakeClock()
        self.waits: list[float] = []
        session = requests.Session()
        session.auth = sign_with_bearer(token)
        self.limit = TimeLimit(self.clock.monotonic)
        waiting = Waiting(self._sleep, lambda: 0.5, self.clock.now, self.clock.monotonic, self.limit)
        self.api = SegmentApiClient(session, url, 5, conn_id="segment_api", retries=retries, waiting=waiting)

    def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.pass_by(seconds)


def sign_with_bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Sign as the hook does."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    """Run a server whose responses a test sets."""
    with RecordingServer() as running:
        yield running


def query(server: RecordingServer) -> list[dict[str, str]]:
    """Return the query of each request."""
    return [{name: value for name, (value,) in parse_qs(urlsplit(came.path).query).items()} for came in server.came]


def test_the_token_names_its_workspace(server: RecordingServer) -> None:
    server.responses = [data(**WORKSPACE)]
    assert Tried(f"{server.url}/v1/").api.workspace() == Workspace("9aQ1", "acme", "Acme")
    (came,) = server.came
    assert (came.path, came.headers["accept"]) == ("/", "application/vnd.segment.v1+json")
    assert came.headers["authorization"] == f"Bearer {TOKEN}"


def test_sources_come_page_by_page_and_a_caller_can_stop(server: RecordingServer) -> None:
    server.responses = [data("Mg==", sources=[source("a", KEY)]), data(sources=[source("b", enabled=False)])]
    sources = Tried(server.url).api.sources(HOST)
    first = next(sources)
    assert (first.source_id, first.enabled, first.keys) == ("a", True, frozenset({key_fingerprint(HOST, KEY)}))
    assert len(server.came) == 1
    (second,) = sources
    assert (second.source_id, second.enabled, second.keys) == ("b", False, frozenset())
    assert query(server) == [{"pagination.count": "200"}, {"pagination.count": "200", "pagination.cursor": "Mg=="}]


def test_a_write_key_leaves_only_as_a_fingerprint(server: RecordingServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.responses = [data(sources=[source("a", KEY)])]
    sources = list(Tried(server.url).api.sources(HOST))
    assert KEY not in repr(sources) + caplog.text


def test_any_cursor_can_be_sent_back(server: RecordingServer) -> None:
    server.responses = [data("a+b/=&\ud800", sources=[]), data(sources=[])]
    assert list(Tried(server.url).api.sources(HOST)) == []
    assert query(server)[1]["pagination.cursor"] == "a+b/=&?"


def test_pages_that_never_end_are_an_error(server: RecordingServer) -> None:
    server.responses = [data("Mg==", sources=[])]
    with pytest.raises(SegmentApiAnswerError, match="the same page a second time"):
        list(Tried(server.url).api.sources(HOST))
    assert len(server.came) == 2


def test_a_plan_that_drops_traits_is_read_with_its_traits(server: RecordingServer) -> None:
    rule = {"type": "IDENTIFY", "jsonSchema": {"properties": {"traits": {"properties": {"email": {}}}}}}
    server.responses = [
        data(source=source("qQE3"), trackingPlanId="tp/1"),
        data(settings={"identify": {"allowUnplannedTraits": False}}),
        data("Mg==", rules=[{"type": "TRACK", "key": "Bought"}]),
        data(rules=[rule]),
    ]
    rules = Tried(server.url).api.identify_rules("qQE3")
    assert rules == IdentifyRules("tp/1", drops_unplanned_traits=True, planned_traits=frozenset({"email"}))
    assert [urlsplit(came.path).path for came in server.came] == [
        "/sources/qQE3",
        "/sources/qQE3/settings",
        "/tracking-plans/tp%2F1/rules",
        "/tracking-plans/tp%2F1/rules",
    ]


def test_no_more_is_asked_of_a_source_without_a_plan(server: RecordingServer) -> None:
    server.responses = [data(source=source("qQE3"), trackingPlanId=None)]
    assert Tried(server.url).api.identify_rules("qQE3") == IdentifyRules()
    assert len(server.came) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_plan_that_cannot_be_read_drops_nothing_that_is_known(server: RecordingServer, status: int) -> None:
    server.responses = [
        data(source=source("qQE3"), trackingPlanId="tp_1"),
        data(settings={"identify": {"allowUnplannedTraits": False}}),
        error(status),
    ]
    rules = Tried(server.url).api.identify_rules("qQE3")
    assert rules == IdentifyRules("tp_1", drops_unplanned_traits=True, planned_traits=None)
    assert not rules.drops("Power Users (c1)")


def test_destinations_come_without_their_settings(server: RecordingServer) -> None:
    braze = {"enabled": False, "settings": {"apiKey": KEY}, "metadata": {"name": "Braze", "slug": "braze"}}
    server.responses = [data(destinations=[braze, {"id": "no metadata"}])]
    (found,) = Tried(server.url).api.connected_destinations("qQE3")
    assert found == ConnectedDestination("Braze", "braze", enabled=False)


def row(kind: str, count: int, **more: object) -> dict[str, Any]:
    """Return a row of a count."""
    return {"eventType": kind, "total": count, "series": [{"time": "2026-11-25T03:00:00Z", "count": count}], **more}


def test_identifies_are_counted_by_reason(server: RecordingServer) -> None:
    server.responses = [
        data("Mg==", dataset=[row("identify", 7)]),
        data(dataset=[row("track", 90), row("identify", 1)]),
        data(dataset=[row("identify", 2, discardReason="no_user_anon_id")]),
        data(dataset=[row("identify", 3, discardReason="unplanned"), row("identify", 0, discardReason="x")]),
    ]
    counts = Tried(server.url).api.identify_counts("qQE3", 1_795_575_661, 1_795_575_721)
    assert counts == IdentifyCounts(8, {"no_user_anon_id": 2}, {"unplanned": 3}, 1_795_575_660, 1_795_575_780)
    asked = query(server)
    assert asked[0] == {
        "sourceId": "qQE3",
        "startTime": "2026-11-25T03:01:00.000Z",
        "endTime": "2026-11-25T03:03:00.000Z",
        "granularity": "MINUTE",
        "groupBy.0": "eventType",
        "pagination.count": "200",
    }
    assert asked[2]["groupBy.1"] == "discardReason"
    assert {came.headers["accept"] for came in server.came} == {"application/vnd.segment.v1beta+json"}


def test_a_long_span_is_counted_in_parts_of_four_hours(server: RecordingServer) -> None:
    server.responses = [data(dataset=[row("identify", 1, discardReason="r")])]
    counts = Tried(server.url).api.identify_counts("qQE3", 0, 9 * 3600)
    assert (counts.received, counts.failed, counts.filtered) == (3, {"r": 3}, {"r": 3})
    assert len(server.came) == 9


@pytest.mark.parametrize("status", [403, 404, 422])
def test_the_volume_is_read_where_the_overview_is_not_available(server: RecordingServer, status: int) -> None:
    server.responses = [error(status), data(result=[row("identify", 5), row("track", 6)])]
    counts = Tried(server.url).api.identify_counts("qQE3", 60, 120)
    assert counts == IdentifyCounts(5, None, None, 60, 120)
    assert urlsplit(server.came[1].path).path == "/events/volume"
    assert server.came[1].headers["accept"] == "application/vnd.segment.v1+json"


def test_a_wrong_token_is_not_asked_for_the_volume(server: RecordingServer) -> None:
    server.responses = [error(401)]
    with pytest.raises(SegmentApiRefusedError):
        Tried(server.url).api.identify_counts("qQE3", 60, 120)
    assert len(server.came) == 1


def test_suppressed_users_come_by_the_thousand(server: RecordingServer) -> None:
    server.responses = [
        data("Mg==", suppressed=[{"subjectType": "USER_ID", "subjectIds": ["ann", "bob"]}]),
        data(suppressed=[{"subjectType": "USER_ID", "subjectIds": ["cyd", 7]}]),
    ]
    assert list(Tried(server.url).api.suppressed_users()) == [("ann", "bob"), ("cyd",)]
    assert query(server)[0] == {"pagination.count": "1000"}


def test_spaces_are_asked_for_in_their_version(server: RecordingServer) -> None:
    server.responses = [data(spaces=[{"id": "spa_1", "slug": "prod", "name": ""}])]
    assert Tried(server.url).api.spaces() == (Space("spa_1", "prod"),)
    assert server.came[0].headers["accept"] == "application/vnd.segment.v1alpha+json"


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_asked_twice(
    server: RecordingServer, ask: Callable[[SegmentApiClient], object], status: int
) -> None:
    server.responses = [error(status, f"token {TOKEN} is wrong")]
    tried = Tried(server.url)
    with pytest.raises(SegmentApiRefusedError) as caught:
        ask(tried.api)
    assert (caught.value.conn_id, caught.value.status, tried.waits) == ("segment_api", status, [])
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize(
    "response",
    [
        CannedResponse(302, {"Location": "https://login.example.com/"}),
        CannedResponse(body=b"<html>Please log in</html>"),
        CannedResponse(body=b"[]"),
        CannedResponse(body=b'{"data": []}'),
        CannedResponse(body=b'{"data": {}}'),
        CannedResponse(
            body=b'{"data": {"workspace": [], "sources": {}, "source": 1, "destinations": "x", "dataset": 1}}'
        ),
        CannedResponse(body=b""),
        error(404, "not found"),
        error(422, "validation"),
    ],
)
def test_a_response_of_another_shape_is_an_error_with_the_question(
    server: RecordingServer, ask: Callable[[SegmentApiClient], object], response: CannedResponse
) -> None:
    server.responses = [response]
    with pytest.raises(SegmentApiAnswerError) as caught:
        ask(Tried(server.url).api)
    assert caught.value.status == response.status
    assert caught.value.doing in str(caught.value)


def sorted_sources(api: SegmentApiClient) -> list[ListedSource]:
    return sorted(api.sources(HOST), key=lambda found: found.source_id)


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}, {"id": 7}, {"id": None, "writeKeys": 1, "metadata": 7}])
def test_an_entry_of_another_shape_is_left_out(server: RecordingServer, entry: object) -> None:
    api = Tried(server.url).api
    server.responses = [data(sources=[entry, source("a", KEY)])]
    # Of a source, only that it may have the key.
    assert [(found.source_id, found.hides_keys) for found in sorted_sources(api)] == [("", True), ("a", False)]
    server.responses = [data(destinations=[entry])]
    assert api.connected_destinations("a") == ()
    server.responses = [data(suppressed=[entry])]
    assert list(api.suppressed_users()) == [()]
    server.responses = [data(spaces=[entry])]
    assert api.spaces() == ()
    server.responses = [data(dataset=[entry])]
    assert api.identify_counts("a", 60, 120).received == 0


@pytest.mark.parametrize("count", ["many", None, -1, True, [], 1e400])
def test_a_count_that_is_no_number_is_an_error(server: RecordingServer, count: object) -> None:
    """In the overview, and in the volume that is read then."""
    rows = [{"eventType": "identify", "total": count, "series": []}]
    server.responses = [data(dataset=rows, result=rows)]
    with pytest.raises(SegmentApiAnswerError, match="a count that is no number"):
        Tried(server.url).api.identify_counts("qQE3", 60, 120)


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        (error(503), 1.0),
        (error(408), 1.0),
        (error(429, Retry_After="7"), 7.0),
        (error(429, Retry_After="7", X_RateLimit_Reset="Mon, 23 Nov 2026 00:00:40 +0000"), 7.0),
        (error(429, X_RateLimit_Reset="Mon, 23 Nov 2026 00:00:40 +0000"), 40.0),
        (error(429, X_RateLimit_Reset="40"), 1.0),
        (error(429, Retry_After="soon"), 1.0),
        (error(429, Retry_After="86400"), 60.0),
        (CannedResponse(429, body=b'{"errors": [{"type": "x", "data": {"msBeforeNext": 2500}}]}'), 2.5),
        (CannedResponse(body=b'{"data": {"wor'), 1.0),
        (CannedResponse(body=b'{"data"', content_length=99), 1.0),
        (unannounced(b""), 1.0),
        (CannedResponse(raw=b""), 1.0),
    ],
)
def test_what_is_transient_is_waited_out(server: RecordingServer, response: CannedResponse, wait: float) -> None:
    """For as long as the response asks, up to a minute."""
    server.responses = [response, data(**WORKSPACE)]
    tried = Tried(server.url)
    assert tried.api.workspace().slug == "acme"
    assert tried.waits == [wait]


def test_a_check_asks_twice_at_most_and_says_what_the_server_asked_for(server: RecordingServer) -> None:
    server.responses = [error(503, "out of order")]
    tried = Tried(server.url, FEW_RETRIES)
    with pytest.raises(SegmentApiUnavailableError, match="out of order") as caught:
        tried.api.workspace()
    assert (caught.value.status, caught.value.retryable, tried.waits) == (503, True, [0.5])
    assert len(server.came) == 2

    server.responses, server.came = [error(429, Retry_After="30")], []
    tried = Tried(server.url, FEW_RETRIES)
    with pytest.raises(SegmentApiUnavailableError) as caught:
        tried.api.workspace()
    assert (caught.value.retry_after_seconds, tried.waits, len(server.came)) == (30.0, [], 1)


@pytest.mark.parametrize(
    "keys", [None, 7, "mine", {"a": "mine"}, [KEY, 7], [KEY, None], [KEY, "half \ud800"], [KEY, ["mine"]]]
)
def test_write_keys_of_another_shape_may_be_the_wanted_one(server: RecordingServer, keys: object) -> None:
    server.responses = [data(sources=[source("a", writeKeys=keys)])]
    listing = find_keys(Tried(server.url).api.sources(HOST), {"wanted"})
    assert (listing.listed, listing.hidden) == (1, 1)


@pytest.fixture
def slow() -> Iterator[str]:
    """Run a server that sends one byte after another, for as long as a client reads them."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            path = self.request.recv(65536).split(b" ", 2)[1]
            whole, dripped = b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n", b" " * 300
            if b"sources" in path:
                whole, dripped = b"HTTP/1.1 200 OK\r\n", b"X-Slow: " + b"x" * 300
            with suppress(OSError):
                self.request.sendall(whole)
                for byte in dripped:
                    self.request.sendall(bytes([byte]))
                    if over.wait(0.02):
                        return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        over.set()
        running.shutdown()


@pytest.mark.parametrize("ask", ASK[:2], ids=["body", "headers"])
def test_a_response_that_comes_byte_by_byte_ends_with_the_limit(
    slow: str, ask: Callable[[SegmentApiClient], object]
) -> None:
    """No silence is long enough for a socket's time-out."""
    limit = TimeLimit(time.monotonic)
    api = SegmentApiClient(requests.Session(), slow, 5, conn_id="a", retries=FEW_RETRIES, waiting=Waiting(limit=limit))
    limit.begin(0.05)
    with pytest.raises(TimeoutError):
        ask(api)


def test_a_body_that_is_larger_than_any_of_segments_is_not_read_to_its_end(
    server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_MOST_BYTES", 100)
    server.responses = [CannedResponse(body=b" " * 200)]
    with pytest.raises(SegmentApiUnavailableError):
        Tried(server.url, FEW_RETRIES).api.workspace()


@pytest.mark.parametrize("is_limited", [False, True])
def test_a_compressed_body_is_read_as_it_was(server: RecordingServer, is_limited: bool) -> None:
    body = gzip.compress(json.dumps({"data": WORKSPACE}).encode())
    server.responses = [CannedResponse(200, {"Content-Encoding": "gzip"}, body)]
    limit = TimeLimit(time.monotonic)
    if is_limited:
        limit.begin(600)
    api = SegmentApiClient(requests.Session(), server.url, 5, conn_id="a", waiting=Waiting(limit=limit))
    assert [api.workspace().slug for _ in range(3)] == ["acme"] * 3


def test_no_wait_is_longer_than_the_limit(server: RecordingServer) -> None:
    server.responses = [error(503, "busy")]
    tried = Tried(server.url, FEW_RETRIES)
    tried.limit.begin(0.4)
    with pytest.raises(SegmentApiUnavailableError):
        tried.api.workspace()
    assert (tried.waits, len(server.came)) == ([], 1)


def test_retries_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    tried = Tried(f"http://127.0.0.1:{port}")
    with pytest.raises(SegmentApiUnavailableError, match="refuses the connection") as caught:
        tried.api.workspace()
    assert caught.value.status is None
    assert tried.waits == [1.0, 2.0, 4.0, 8.0]
    assert caught.value.advice


def test_what_no_retry_cures_is_not_retried(server: RecordingServer) -> None:
    tried = Tried(server.url.replace("http://", "https://"))
    with pytest.raises(SegmentApiUnreachableError, match="does not speak TLS"):
        tried.api.workspace()
    assert tried.waits == []


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("status", [404, 422, 429, 500])
def test_nothing_that_a_server_quotes_leaks(
    server: RecordingServer,
    caplog: pytest.LogCaptureFixture,
    ask: Callable[[SegmentApiClient], object],
    status: int,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.responses = [error(status, f"no: {TOKEN}, '{KEY}'")]
    with pytest.raises((SegmentApiAnswerError, SegmentApiUnavailableError)) as caught:
        ask(Tried(server.url).api)
    shown = str(caught.value) + repr(caught.value.__dict__) + caplog.text
    assert TOKEN not in shown
    assert KEY not in shown


def test_no_log_line_has_a_cursor(server: RecordingServer, caplog: pytest.LogCaptureFixture) -> None:
    """A cursor of the suppressed users may be one of them."""
    caplog.set_level(logging.DEBUG)
    server.responses = [data(USER, suppressed=[]), error(503), data(suppressed=[])]
    list(Tried(server.url).api.suppressed_users())
    assert query(server)[1]["pagination.cursor"] == USER
    assert USER not in caplog.text
    assert "ann" not in caplog.text


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_carried_away(server: RecordingServer, carry: Callable[[object], object]) -> None:
    with pytest.raises(XComValueError, match="SegmentApiClient"):
        carry(Tried(server.url).api)
