"""The Profile API's client finds one user's trait by any ID, and shows the ID in no message."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
import urllib3
from fakes.recording_server import CannedResponse, RecordingServer
from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient
from airflow_provider_amplitude_segment.clients.request import URLLIB3_LOGGERS
from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.profile import (
    ProfileAbsent,
    ProfileUnreadable,
    TraitAbsent,
    TraitFound,
)
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiRefusedError,
    SegmentApiUnreachableError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "profile-token-0123456789"
SPACE = "lgJ4AAjFN4"
TRAIT = "Power Users (26umsb5)"
USER = "ann.secret@example.com"

NOT_FOUND = {"error": {"code": "not_found", "message": "Profile was not found."}}


@dataclass
class FakeSpace:
    """Profiles as the documents describe the Profile API; remembers each request.

    https://www.twilio.com/docs/segment/unify/profile-api
    """

    traits: dict[str, dict[str, Any]] = field(default_factory=dict)
    user_ids: dict[str, list[str]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    page: int = 200

    def respond(self, address: str, authorization: str) -> tuple[int, object]:
        """Return status and body."""
        path, _, text = address.partition("?")
        parts = path.split("/")
        query = {name: value for name, (value,) in parse_qs(text).items()}
        if authorization != requests.auth._basic_auth_str(TOKEN, ""):
            return 401, {"error": {"code": "authentication_error", "message": TOKEN}}
        if parts[:7] != ["", "v1", "spaces", SPACE, "collections", "users", "profiles"]:
            return 404, {"error": {"code": "not_found", "message": "The space was not found."}}
        kind, _, user_id = unquote(parts[7]).partition(":")
        self.asked.append((user_id, query))
        if kind != "user_id" or user_id not in self.traits or user_id != user_id.lower():
            return 404, NOT_FOUND
        if parts[8] == "external_ids":
            ids = [{"id": other, "type": "user_id"} for other in self.user_ids.get(user_id, [user_id])]
            return 200, self._one_page([{"id": "x@example.com", "type": "email"}, *ids], query, "data")
        traits = self.traits[user_id]
        if "include" in query:
            names = query["include"].split(",")
            return 200, {"traits": self._seen({name: traits[name] for name in names if name in traits}, query)}
        body = self._one_page(list(traits), query, "traits")
        body["traits"] = self._seen({name: traits[name] for name in body["traits"]}, query)
        return 200, body

    def _seen(self, traits: dict[str, Any], query: dict[str, str]) -> dict[str, Any]:
        verbose = query.get("verbose") == "true"
        return {name: {"value": value, "source_id": "q"} if verbose else value for name, value in traits.items()}

    def _one_page(self, entries: list[Any], query: dict[str, str], name: str) -> dict[str, Any]:
        start, size = int(query.get("next", "0")), min(self.page, int(query.get("limit", "10")))
        after = start + size
        has_more = after < len(entries)
        cursor = {"url": "/v1", "has_more": has_more, "next": str(after) if has_more else "", "limit": size}
        return {name: entries[start:after], "cursor": cursor}


def serve(space: FakeSpace) -> ThreadingHTTPServer:
    """Return a server of a space on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, value = space.respond(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", "1111-2222")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def space() -> FakeSpace:
    """Return a space without profiles."""
    return FakeSpace()


@pytest.fixture
def url(space: FakeSpace) -> Iterator[str]:
    """Serve the space."""
    server = serve(space)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def profile_client(url: str, *, token: str = TOKEN, space_id: str = SPACE, **options: Any) -> ProfileApiClient:
    """Return a client as the hook makes one."""
    session = requests.Session()
    session.auth = HTTPBasicAuth(token, "")
    return ProfileApiClient(session, url, space_id, 5, conn_id="segment_api", **options)


@pytest.fixture
def profiles(url: str) -> Iterator[ProfileApiClient]:
    """Return a client of the space."""
    client = profile_client(f"{url}/v1/")
    yield client
    client.close()


@pytest.mark.parametrize("value", [True, False, "gold", 0, ["a"], {"a": 1}])
def test_a_trait_is_found_with_its_value(space: FakeSpace, profiles: ProfileApiClient, value: object) -> None:
    space.traits["ann"] = {f"trait {number}": number for number in range(30)} | {TRAIT: value}
    assert profiles.trait("ann", TRAIT) == TraitFound(value)
    assert space.asked == [("ann", {"verbose": "true", "include": TRAIT})]


def test_a_profile_without_the_trait_is_no_missing_profile(space: FakeSpace, profiles: ProfileApiClient) -> None:
    space.traits["ann"] = {"age": 9, "gone": None}
    assert profiles.trait("ann", TRAIT) == TraitAbsent()
    assert profiles.trait("ann", "gone") == TraitAbsent()
    assert profiles.trait("bob", TRAIT) == ProfileAbsent()


@pytest.mark.parametrize(
    "user_id",
    [
        "+49301234567",
        "a/b",
        "100%",
        "100%25",
        "a b",
        " ann ",
        "ánn@exämple.com",
        "用户",
        "a?b#c&d=e",
        "..",
        "user:1",
        "a\nb",
        "é" * 200,
    ],
)
def test_an_id_reaches_segment_as_it_is(space: FakeSpace, profiles: ProfileApiClient, user_id: str) -> None:
    space.traits[user_id] = {TRAIT: True}
    assert profiles.trait(user_id, TRAIT) == TraitFound(value=True)
    assert profiles.user_ids(user_id) == (user_id,)
    assert [asked for asked, _ in space.asked] == [user_id, user_id]


@pytest.mark.parametrize("user_id", ["", "\ud800", "ann\udfff"])
def test_an_id_that_no_url_can_have_is_unreadable(space: FakeSpace, profiles: ProfileApiClient, user_id: str) -> None:
    assert profiles.trait(user_id, TRAIT) == ProfileUnreadable(None)
    assert profiles.user_ids(user_id) == ProfileUnreadable(None)
    assert space.asked == []


def test_an_id_with_capitals_is_asked_for_in_lower_case_first(space: FakeSpace, profiles: ProfileApiClient) -> None:
    space.traits["ann"] = {TRAIT: True}
    assert profiles.trait("Ann", TRAIT) == TraitFound(value=True)
    assert profiles.user_ids("ANN") == ("ann",)
    assert profiles.trait("BOB", TRAIT) == ProfileAbsent()
    assert profiles.trait("bob", TRAIT) == ProfileAbsent()
    assert [asked for asked, _ in space.asked] == ["ann", "ann", "bob", "BOB", "bob"]


def test_a_trait_with_a_comma_is_searched_on_all_pages(space: FakeSpace, profiles: ProfileApiClient) -> None:
    space.traits["ann"] = {f"trait {number}": number for number in range(450)} | {"Paris, Texas (c1)": True}
    assert profiles.trait("ann", "Paris, Texas (c1)") == TraitFound(value=True)
    assert profiles.trait("ann", "Paris, Texas (c2)") == TraitAbsent()
    assert [query for _, query in space.asked[:3]] == [
        {"verbose": "true", "limit": "200"},
        {"verbose": "true", "limit": "200", "next": "200"},
        {"verbose": "true", "limit": "200", "next": "400"},
    ]


@pytest.mark.parametrize("trait", ["100% & more?", "été (c1)", "a+b", "half \ud800"])
def test_any_key_of_a_trait_can_be_asked_for(space: FakeSpace, profiles: ProfileApiClient, trait: str) -> None:
    space.traits["ann"] = {trait: True}
    assert profiles.trait("ann", trait) == TraitFound(value=True)


def test_all_user_ids_of_a_profile_are_found(space: FakeSpace, profiles: ProfileApiClient) -> None:
    space.traits["ann"], space.user_ids["ann"] = {}, [f"ann{number}" for number in range(250)]
    assert profiles.user_ids("ann") == tuple(space.user_ids["ann"])
    assert profiles.user_ids("bob") == ProfileAbsent()


def test_each_request_waits_for_its_turn(space: FakeSpace, url: str) -> None:
    """Also the second one of a user."""
    turns: list[int] = []
    client = profile_client(url, before_request=lambda: turns.append(len(space.asked)))
    space.page, space.traits["ann"] = 1, {"a": 1, "b, c": True}
    client.trait("Ann", "b, c")
    client.trait("Bob", "b, c")
    client.user_ids("ann")
    assert turns == list(range(len(space.asked)))
    assert len(turns) == 6


def test_an_unknown_space_is_no_missing_profile(url: str) -> None:
    with pytest.raises(SegmentApiAnswerError, match="check the space ID") as caught:
        profile_client(url, space_id="nosuch").trait(USER, TRAIT)
    assert caught.value.status == 404
    assert "Request-Id 1111-2222" in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"", b"404 page not found", b'{"error": "x"}', b'{"error": {"code": "other"}}', b"[]"]
)
def test_another_404_is_no_missing_profile(body: bytes) -> None:
    with (
        RecordingServer(CannedResponse(404, body=body)) as server,
        pytest.raises(SegmentApiAnswerError, match="check the space ID"),
    ):
        profile_client(server.url).trait(USER, TRAIT)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_an_error(status: int) -> None:
    with (
        RecordingServer(CannedResponse(status, body=f"{TOKEN} {USER}".encode())) as server,
        pytest.raises(SegmentApiRefusedError) as caught,
    ):
        profile_client(server.url).trait(USER, TRAIT)
    assert (caught.value.conn_id, caught.value.status) == ("segment_api", status)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_is_transient_is_the_callers_to_wait_out(status: int) -> None:
    quoting = json.dumps({"errors": [{"type": "x", "message": USER}], "error": {"message": USER}}).encode()
    with RecordingServer(CannedResponse(status, {"Retry-After": "7"}, quoting)) as server:
        client = profile_client(server.url)
        for answer in (client.trait(USER, TRAIT), client.user_ids(USER)):
            assert answer == RetryLater(status, 7.0)
            assert USER not in repr(answer)
        assert len(server.came) == 2


def test_a_cut_response_and_none_are_transient() -> None:
    with RecordingServer(
        CannedResponse(body=b'{"traits": {"a'), CannedResponse(body=b"{", content_length=99), CannedResponse(raw=b"")
    ) as server:
        client = profile_client(server.url)
        answers = [client.trait(USER, TRAIT) for _ in range(3)]
    assert [answer.status for answer in answers if isinstance(answer, RetryLater)] == [None, None, None]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    answer = profile_client(f"http://127.0.0.1:{port}").trait(USER, TRAIT)
    assert isinstance(answer, RetryLater)
    assert answer.reason == "the server refuses the connection"


def test_what_no_retry_cures_is_an_error() -> None:
    with RecordingServer() as server, pytest.raises(SegmentApiUnreachableError, match="does not speak TLS") as caught:
        profile_client(server.url.replace("http://", "https://")).trait(USER, TRAIT)
    assert caught.value.advice


@pytest.mark.parametrize("status", [400, 414, 422, 431])
def test_a_request_that_segment_finds_wrong_is_about_this_user(status: int) -> None:
    body = b'{"error": {"code": "validation_error", "message": "invalid"}}'
    with RecordingServer(CannedResponse(status, body=body)) as server:
        assert profile_client(server.url).trait(USER, TRAIT) == ProfileUnreadable(status)


@pytest.mark.parametrize(
    "response",
    [
        CannedResponse(302, {"Location": f"https://login.example.com/?{USER}"}),
        CannedResponse(405, body=f'{{"errors": [{{"message": "{USER}"}}]}}'.encode()),
        CannedResponse(200, body=f"<html>{USER}</html>".encode()),
        CannedResponse(200, body=b"[]"),
        CannedResponse(200, body=b""),
        CannedResponse(200, {"Request-Id": USER}, f'{{"traits": [], "data": 7, "x": "{USER}"}}'.encode()),
    ],
)
def test_a_response_of_another_shape_is_an_error(response: CannedResponse) -> None:
    with RecordingServer(response) as server:
        client = profile_client(server.url)
        for ask in (lambda: client.trait(USER, TRAIT), lambda: client.user_ids(USER)):
            with pytest.raises(SegmentApiAnswerError) as caught:
                ask()
            assert USER not in str(caught.value) + repr(caught.value.__dict__)


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}, {"type": "user_id"}, {"type": "user_id", "id": 7}])
def test_an_external_id_of_another_shape_is_left_out(entry: object) -> None:
    with RecordingServer(CannedResponse(body=json.dumps({"data": [entry], "cursor": entry}).encode())) as server:
        assert profile_client(server.url).user_ids("ann") == ()


def test_pages_that_never_end_are_an_error() -> None:
    cursor = {"has_more": True, "next": USER}
    body = json.dumps({"traits": {}, "data": [], "cursor": cursor}).encode()
    with RecordingServer(CannedResponse(body=body)) as server:
        client = profile_client(server.url)
        for ask in (lambda: client.trait("ann", TRAIT), lambda: client.user_ids("ann")):
            with pytest.raises(SegmentApiAnswerError, match="the same page a second time") as caught:
                ask()
            assert USER not in str(caught.value)
        assert len(server.came) == 4


def test_no_log_line_and_no_error_names_a_user(
    space: FakeSpace, profiles: ProfileApiClient, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither as it is nor encoded, in the error or in anything behind it."""
    caplog.set_level(logging.DEBUG)
    space.traits[USER] = {TRAIT: True, "a": 1}
    profiles.trait(USER, TRAIT)
    profiles.trait(USER, "a, b")
    profiles.user_ids(USER.upper())
    shown = caplog.text
    for broken in (
        profile_client(url, token="wrong"),
        profile_client(url, space_id="nosuch"),
        profile_client(url.replace("http://", "https://")),
        profile_client("http://127.0.0.1:1"),
    ):
        try:
            shown += repr(broken.trait(USER, TRAIT))
        except (SegmentApiRefusedError, SegmentApiAnswerError, SegmentApiUnreachableError) as error:
            shown += f"{error} {error.__dict__} {error.__context__!r} {error.__cause__!r}"
    shown += caplog.text
    for secret in ("ann.secret", "ann%2Esecret", TOKEN):
        assert secret not in shown
        assert secret.upper() not in shown


def test_no_log_line_names_a_user_while_other_threads_ask_too(
    space: FakeSpace, profiles: ProfileApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users = [f"user-{number}" for number in range(200)]
    space.traits.update({user: {TRAIT: True} for user in users})
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda user: profiles.trait(user, TRAIT), users))
    assert answers == [TraitFound(value=True)] * 200
    assert "user-" not in caplog.text
    assert "user_id" not in caplog.text
    logging.getLogger("urllib3.connectionpool").debug("of another caller")
    assert "of another caller" in caplog.text


@pytest.mark.parametrize(
    "header", [b"X-Proxy note without colon", b": no name", b"no colon\r\nFoo: 1", b"\x00bad\x01: 1"]
)
def test_a_header_that_cannot_be_read_shows_no_user_in_the_log(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 logs it with the URL, at WARNING and with a traceback."""
    caplog.set_level(logging.DEBUG)
    body = b'{"traits": {"t": true}, "cursor": {"has_more": false}}'
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n\r\n%b" % (len(body), header, body)
    with RecordingServer(CannedResponse(raw=raw)) as server, vendor_logs_at_warning():
        profile_client(server.url).trait(USER, "t")
        assert "ann.secret" in server.came[0].path
    assert "user_id" not in caplog.text
    assert "ann.secret" not in caplog.text


def test_each_logger_of_urllib3_is_silenced() -> None:
    """A version that logs in another module must be read first."""
    folder = Path(urllib3.__file__).parent
    logging_modules = {
        ".".join(("urllib3", *module.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        for module in folder.rglob("*.py")
        if "getLogger(__name__)" in module.read_text(encoding="utf-8")
    }
    # Only a browser runs these.
    logging_modules = {name for name in logging_modules if ".emscripten." not in name}
    assert logging_modules <= set(URLLIB3_LOGGERS)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_carried_away(profiles: ProfileApiClient, carry: Callable[[object], object]) -> None:
    with pytest.raises(XComValueError, match="ProfileApiClient"):
        carry(profiles)


def test_the_space_is_one_part_of_the_address() -> None:
    with RecordingServer(CannedResponse(body=b'{"traits": {}}')) as server:
        profile_client(server.url, space_id="a/../b?c").trait("ann", TRAIT)
        assert (
            urlsplit(server.came[0].path).path
            == "/v1/spaces/a%2F..%2Fb%3Fc/collections/users/profiles/user_id:ann/traits"
        )
