"""A connection of the Public API becomes two clients, or an error that names the field; Test says what it opens."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import BaseHook
from fakes.clock import FakeClock
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
from airflow_provider_amplitude_segment.core.segment_api.profile import TraitAbsent
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit
from airflow_provider_amplitude_segment.exceptions import SegmentApiUnavailableError, SettingError
from airflow_provider_amplitude_segment.hooks import segment_api
from airflow_provider_amplitude_segment.hooks.segment_api import SegmentApiHook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_amplitude_segment.sandbox import Sandbox
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment

TOKEN = "sgp_public-token-0123456789-0123456789"
PROFILE_TOKEN = "profile-token-0123456789"
KEY = "write-key-0123456789-0123456789-"
SPACE = {"space_id": "lgJ4AAjFN4", "profile_api_token": PROFILE_TOKEN}

WORKSPACE = CannedResponse(body=b'{"data": {"workspace": {"id": "9", "slug": "acme", "name": "Acme & Co"}}}')
NO_PROFILE = CannedResponse(404, body=b'{"error": {"code": "not_found", "message": "Profile was not found."}}')
NO_SPACE = CannedResponse(404, body=b'{"error": {"code": "not_found", "message": "no such thing"}}')
SALESFORCE: dict[str, Any] = {"id": "crm", "slug": "crm", "writeKeys": [], "metadata": {"id": "2baks93n"}}
UNSEEN = "It may NOT see write keys, so no sync can check its own."


def sources(*keys: str, count: int = 1, more: Sequence[dict[str, Any]] = ()) -> CannedResponse:
    """Return a page of sources with these write keys each, and with more entries."""
    entries = [{"id": f"s{number}", "slug": "python", "writeKeys": [*keys]} for number in range(count)]
    entries += more
    return CannedResponse(body=json.dumps({"data": {"sources": entries, "pagination": {}}}).encode())


def spaces(count: int = 1) -> CannedResponse:
    """Return a page of spaces."""
    entries = [{"id": f"spa_{number}", "slug": "prod", "name": f"Space {number}"} for number in range(count)]
    return CannedResponse(body=json.dumps({"data": {"spaces": entries, "pagination": {}}}).encode())


@pytest.fixture
def hook(connect: Callable[..., str]) -> Callable[..., SegmentApiHook]:
    """Return what makes a connection and its hook."""

    def make(host: str = "", *, password: str = TOKEN, **extra: Any) -> SegmentApiHook:
        return SegmentApiHook(connect("a", conn_type="segmentapi", host=host, password=password, extra=extra))

    return make


@pytest.mark.parametrize("space", [False, True])
def test_a_token_is_sent_as_each_api_wants_it(hook: Callable[..., SegmentApiHook], space: bool) -> None:
    with RecordingServer(WORKSPACE) as public, RecordingServer(CannedResponse(body=b'{"traits": {}}')) as profiles:
        extra = {**SPACE, "profile_host": profiles.url} if space else {}
        made = hook(public.url, password=f" {TOKEN}\n", **extra)
        assert made.get_conn().workspace().slug == "acme"
        assert made.get_conn() is made.get_conn()
        client = made.get_profile_client()
        assert (client is not None) is space
        if client is not None:
            assert client.trait("ann", "t") == TraitAbsent()
            assert profiles.came[0].path == (
                "/v1/spaces/lgJ4AAjFN4/collections/users/profiles/user_id:ann/traits?verbose=true&include=t"
            )
            assert profiles.came[0].headers["authorization"] == "Basic cHJvZmlsZS10b2tlbi0wMTIzNDU2Nzg5Og=="
    assert public.came[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_caller_decides_how_long_it_waits_and_at_which_rate(connect: Callable[..., str]) -> None:
    turns: list[int] = []
    with RecordingServer(CannedResponse(503)) as server:
        extra = {**SPACE, "profile_host": server.url}
        conn_id = connect("a", conn_type="segmentapi", host=server.url, password=TOKEN, extra=extra)
        hook = SegmentApiHook(conn_id, retries=RetryPolicy(retries=1, base_seconds=0.001))
        with pytest.raises(SegmentApiUnavailableError):
            hook.get_conn().workspace()
        assert len(server.came) == 2
        client = hook.get_profile_client(lambda: turns.append(len(server.came)))
        assert client is not None
        client.trait("ann", "t")
    assert turns == [2]


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"space_id": "s"}, "Profile API token"),
        ({"space_id": "s", "profile_api_token": " "}, "Profile API token"),
        ({"profile_api_token": PROFILE_TOKEN}, "Space ID"),
        ({"space_id": "s", "profile_api_token": "tokén of mine"}, "Profile API token"),
        ({"space_id": ["s"], "profile_api_token": PROFILE_TOKEN}, "Extra space_id"),
        ({"space_id": "s", "profile_api_token": {"a": PROFILE_TOKEN}}, "Extra profile_api_token"),
    ],
)
def test_half_a_space_is_named_and_does_not_keep_the_public_api_from_working(
    hook: Callable[..., SegmentApiHook], extra: dict[str, Any], field: str
) -> None:
    with RecordingServer(WORKSPACE) as server:
        made = hook(server.url, **extra)
        assert made.get_conn().workspace().slug == "acme"
        with pytest.raises(SettingError, match=f"connection 'a', field '{field}'") as caught:
            made.get_profile_client()
        works, sentence = made.test_connection()
    assert not works
    assert sentence.startswith(f"Field '{field}': ")
    assert PROFILE_TOKEN not in str(caught.value) + sentence
    assert "tokén" not in str(caught.value) + sentence


class DrippingServer(socketserver.ThreadingTCPServer):
    """Responds byte by byte, for as long as a client reads; an hour passes after the first byte."""

    def __init__(self, clock: FakeClock, *, names_workspace: bool) -> None:
        self.clock, self.names_workspace, self.over = clock, names_workspace, threading.Event()
        super().__init__(("127.0.0.1", 0), _Drip)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()


class _Drip(socketserver.BaseRequestHandler):
    server: DrippingServer

    def handle(self) -> None:
        path = self.request.recv(65536).split(b" ", 2)[1]
        is_whole = path == b"/" and self.server.names_workspace
        body = WORKSPACE.body if is_whole else b" " * 300
        with suppress(OSError):
            self.request.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
            if is_whole:
                self.request.sendall(body)
                return
            for _ in body:
                self.request.sendall(b" ")
                self.server.clock.pass_by(3600)
                if self.server.over.wait(0.02):
                    return


@pytest.mark.parametrize(
    ("names_workspace", "said"),
    [
        (False, "Reached, but not tested: http://127.0.0.1:"),
        (True, "Its sources came too slowly, so it is not known whether it may see write keys."),
        (True, "responds too slowly. So the space is not proved."),
    ],
)
def test_a_response_that_comes_byte_by_byte_does_not_delay_the_form(
    hook: Callable[..., SegmentApiHook], monkeypatch: pytest.MonkeyPatch, names_workspace: bool, said: str
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(segment_api, "TimeLimit", lambda _monotonic: TimeLimit(clock.monotonic))
    with DrippingServer(clock, names_workspace=names_workspace) as server:
        works, sentence = hook(server.url, **SPACE, profile_host=server.url).test_connection()
        server.over.set()
        server.shutdown()
    assert not works
    assert said in sentence


@pytest.mark.parametrize("password", ["", " \n", "a b", "tokén", "a\nb", "a\x00b"])
def test_a_token_that_is_none_is_named_and_not_quoted(hook: Callable[..., SegmentApiHook], password: str) -> None:
    made = hook(password=password)
    with pytest.raises(SettingError, match="connection 'a', field 'Public API token'") as caught:
        made.get_conn()
    assert not password.strip() or password not in str(caught.value)
    assert made.test_connection()[1].startswith("Field 'Public API token': ")


@pytest.mark.parametrize(
    ("host", "extra", "urls"),
    [
        ("", {}, ("https://api.segmentapis.com", "https://profiles.segment.com")),
        ("", {"region": "eu"}, ("https://eu1.api.segmentapis.com", "https://profiles.euw1.segment.com")),
        ("eu1.api.segmentapis.com", {}, ("https://eu1.api.segmentapis.com", "https://profiles.euw1.segment.com")),
        (
            "https://proxy.example.com/public",
            {"profile_host": "https://profiles.segment.com/v1"},
            ("https://proxy.example.com/public", "https://profiles.segment.com"),
        ),
        (
            "127.0.0.1:9",
            {"profile_host": "127.0.0.1:10/profiles", "region": "EU"},
            ("http://127.0.0.1:9", "http://127.0.0.1:10/profiles"),
        ),
    ],
)
def test_the_region_decides_and_a_host_overrides(
    hook: Callable[..., SegmentApiHook], host: str, extra: dict[str, str], urls: tuple[str, str]
) -> None:
    made = hook(host, **SPACE, **extra)
    profiles = made.get_profile_client()
    assert profiles is not None
    assert (made.get_conn().base_url, profiles.base_url) == urls


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("api.segment.io", "is Segment's Tracking API, not its Public API"),
        ("https://events.eu1.segmentapis.com/v1", "is Segment's Tracking API, not its Public API"),
        ("https://app.segment.com/acme/sources", "is Segment's web application, not its API"),
        ("https://eu1.app.segment.com", "is Segment's web application, not its API"),
        ("https://docs.segmentapis.com", "is the documents of Segment's Public API"),
        ("https://platform.segmentapis.com", "is Segment's Config API, which the Public API has replaced"),
        ("profiles.segment.com", "it belongs into Profile API host"),
        ("profiles.eu1.segment.com", "https://profiles.euw1.segment.com"),
        ("https://api.segmentapis.com/sources", "has the path of a call"),
        ("https://user:hush@api.segmentapis.com", "it is not a plain host"),
    ],
)
def test_another_host_of_segment_is_refused(hook: Callable[..., SegmentApiHook], host: str, what: str) -> None:
    made = hook(host)
    with pytest.raises(SettingError, match="field 'Host'") as caught:
        made.get_conn()
    works, sentence = made.test_connection()
    assert what in str(caught.value)
    assert not works
    assert what in sentence
    assert "hush" not in sentence


@pytest.mark.parametrize(
    ("host", "field", "what"),
    [
        ("api.segment.io", "Profile API host", "is Segment's Tracking API, not its Profile API"),
        ("api.segmentapis.com", "Profile API host", "it belongs into Host"),
        ("app.segment.com", "Profile API host", "web application"),
        ("profiles.eu1.segment.com", "Profile API host", "https://profiles.euw1.segment.com"),
        ("profiles.euw1.segment.com", "Data region", "it is US, but Profile API host"),
        ("https://profiles.segment.com/v1/spaces/x/collections/users/profiles", "Profile API host", "path of a call"),
        ("https://proxy.example.com/p/v1/spaces/x", "Profile API host", "https://proxy.example.com/p"),
        ("a b", "Profile API host", "it is not a plain host"),
    ],
)
def test_another_profile_host_is_refused(hook: Callable[..., SegmentApiHook], host: str, field: str, what: str) -> None:
    with pytest.raises(SettingError, match=f"field '{field}'") as caught:
        hook(**SPACE, profile_host=host).get_profile_client()
    assert what in str(caught.value)


def test_test_says_which_workspace_the_token_opens_and_what_it_may_see(hook: Callable[..., SegmentApiHook]) -> None:
    with RecordingServer(WORKSPACE, sources(KEY)) as server:
        works, sentence = hook(server.url, region="EU").test_connection()
    assert works
    assert sentence == (
        f"Works: the token opens the workspace 'Acme & Co' (slug 'acme', data region EU, {server.url}). It may see "
        "write keys, so each sync can check its own. Without a Space ID, a sync can be verified by its counts, but not "
        "user by user."
    )


@pytest.mark.parametrize(
    ("response", "works", "what"),
    [
        (sources(), True, UNSEEN),
        (sources(count=0), True, "It shows no source with a write key"),
        (sources(count=0, more=[SALESFORCE]), True, "It shows no source with a write key"),
        (sources(KEY, more=[SALESFORCE]), True, "It may see write keys, so each sync can check its own."),
        (
            sources(KEY, count=2, more=[SALESFORCE, {"id": "s9", "slug": "go", "writeKeys": []}]),
            True,
            "It may see the write keys of 2 of 3 sources, so a sync can prove one of these",
        ),
        (CannedResponse(403), False, "It may NOT list sources (HTTP 403)"),
        (CannedResponse(503), False, "Its sources cannot be read now (HTTP 503). Test again in some minutes."),
        (CannedResponse(404), False, "Its sources cannot be read now (HTTP 404)"),
    ],
)
def test_test_says_whether_write_keys_are_shown(
    hook: Callable[..., SegmentApiHook], response: CannedResponse, works: bool, what: str
) -> None:
    with RecordingServer(WORKSPACE, response) as server:
        result, sentence = hook(server.url).test_connection()
    assert result is works
    assert sentence.startswith("Works: " if works else "Works in part: ")
    assert what in sentence


@pytest.mark.parametrize(
    ("response", "begins", "what"),
    [
        (CannedResponse(401), "Refused", "choose EU as Data region, and clear Host."),
        (CannedResponse(403), "Refused", "a write key is not a token"),
        (CannedResponse(429), "Reached, but not tested", "busy or out of order (HTTP 429)"),
        (CannedResponse(500), "Reached, but not tested", "Test again in some minutes"),
        (CannedResponse(404), "Reached, but not Segment's Public API", "(HTTP 404). Check Host."),
        (CannedResponse(body=b"<html>"), "Reached, but not Segment's Public API", "Check Host"),
        (CannedResponse(302, {"Location": "https://login.example.com"}), "Reached, but not Segment's", "Check Host"),
        (CannedResponse(raw=b""), "Not reached", "the server closed the connection"),
    ],
)
def test_test_says_why_the_token_opens_nothing(
    hook: Callable[..., SegmentApiHook], response: CannedResponse, begins: str, what: str
) -> None:
    """After one request."""
    with RecordingServer(response) as server:
        works, sentence = hook(server.url, **SPACE).test_connection()
        assert len(server.came) == 1
    assert not works
    assert sentence.startswith(begins)
    assert what in sentence
    assert TOKEN not in sentence


@pytest.mark.parametrize(
    ("response", "works", "what"),
    [
        (NO_PROFILE, True, "opens the space 'lgJ4AAjFN4'."),
        (CannedResponse(body=b'{"traits": {}}'), True, "opens the space 'lgJ4AAjFN4'."),
        (CannedResponse(401), False, "does not accept Profile API token for the space 'lgJ4AAjFN4' (HTTP 401)"),
        (CannedResponse(403), False, "Make a token of this space in Segment under Unify > Unify settings > API access"),
        (NO_SPACE, False, "does not know the space 'lgJ4AAjFN4' (HTTP 404). Copy its Space ID"),
        (NO_SPACE, False, "The workspace has: 'Space 0' (spa_0), 'Space 1' (spa_1), 'Space 2' (spa_2), 'Space 3'"),
        (CannedResponse(400), False, "does not accept the request (HTTP 400)"),
        (CannedResponse(429), False, "is busy or out of order (HTTP 429)"),
        (CannedResponse(raw=b""), False, "did not respond: the server closed the connection."),
        (CannedResponse(body=b"<html>"), False, "returns another response than the Profile API (HTTP 200)"),
    ],
)
def test_test_says_whether_the_space_responds(
    hook: Callable[..., SegmentApiHook], response: CannedResponse, works: bool, what: str
) -> None:
    with RecordingServer(WORKSPACE, sources(KEY), spaces(6)) as public, RecordingServer(response) as profiles:
        result, sentence = hook(public.url, **SPACE, profile_host=profiles.url).test_connection()
        assert len(profiles.came) == 1
    assert result is works
    assert sentence.startswith("Works: " if works else "Works in part: ")
    assert what in sentence
    assert "the token opens the workspace 'Acme & Co'" in sentence


def test_test_names_no_space_where_none_is_listed(hook: Callable[..., SegmentApiHook]) -> None:
    with (
        RecordingServer(WORKSPACE, sources(KEY), CannedResponse(404)) as public,
        RecordingServer(NO_SPACE) as profiles,
    ):
        sentence = hook(public.url, **SPACE, profile_host=profiles.url).test_connection()[1]
    assert sentence.endswith("check Data region and Profile API host.")


def test_a_proxy_that_speaks_no_tls_is_named(hook: Callable[..., SegmentApiHook]) -> None:
    with RecordingServer(WORKSPACE, sources(KEY)) as public, RecordingServer() as profiles:
        host = profiles.url.replace("http://", "https://")
        sentence = hook(public.url, **SPACE, profile_host=host).test_connection()[1]
    assert "cannot be reached: the server does not speak TLS" in sentence


def test_no_token_and_no_key_is_shown(hook: Callable[..., SegmentApiHook], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f'{{"errors": [{{"message": "{TOKEN} {PROFILE_TOKEN} {KEY}"}}]}}'.encode()
    shown = ""
    for first in (WORKSPACE, CannedResponse(422, body=echo), CannedResponse(401, body=echo)):
        for status in (401, 404, 422, 500):
            with (
                RecordingServer(first, sources(KEY), CannedResponse(status, body=echo)) as public,
                RecordingServer(CannedResponse(status, body=echo)) as profiles,
            ):
                made = hook(public.url, **SPACE, profile_host=profiles.url)
                shown += made.test_connection()[1] + repr(made.get_conn()) + repr(made.get_profile_client())
    for hidden in (TOKEN, PROFILE_TOKEN, KEY, segment_api._NO_USER):
        assert hidden not in shown + caplog.text


def test_both_tokens_are_masked_in_logs(hook: Callable[..., SegmentApiHook], monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[object] = []
    monkeypatch.setattr(segment_api, "mask_secret", masked.append)
    made = hook(**SPACE)
    made.get_conn()
    made.get_profile_client()
    assert masked == [TOKEN, PROFILE_TOKEN]


def test_an_unknown_connection_is_named() -> None:
    hook = SegmentApiHook("nosuch")
    assert isinstance(hook, BaseHook)
    with pytest.raises(SettingError, match="connection 'nosuch'"):
        hook.get_conn()
    assert "Airflow finds none of this ID" in hook.test_connection()[1]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"password": " "},
            "Field 'Public API token': it is missing or blank. It takes the Public API token as it was issued.",
        ),
        (
            {"extra": {"space_id": "spa_1"}},
            "Field 'Profile API token': it is missing or blank. It takes the Profile API token as it was issued.",
        ),
    ],
)
def test_a_field_that_is_missing_is_named_as_the_form_names_it(
    connect: Callable[..., str], fields: dict[str, Any], sentence: str
) -> None:
    connect("segment_api_default", **{"conn_type": "segmentapi", "password": TOKEN, **fields})
    assert SegmentApiHook().test_connection() == (False, sentence)


@pytest.mark.usefixtures("sandbox")
def test_a_good_connection_works_against_the_sandbox() -> None:
    works, sentence = SegmentApiHook().test_connection()
    assert works
    assert "the token opens the workspace 'Sandbox' (slug 'sandbox', data region US, " in sentence
    assert "It may see write keys" in sentence
    assert "opens the space 'spa_sandbox'." in sentence


@pytest.mark.parametrize(
    ("change", "begins", "what"),
    [
        (lambda segment: setattr(segment.public_api, "token", "another"), "Refused", "Wrong or expired token?"),
        (lambda segment: setattr(segment.public_api, "forbidden", True), "Refused", "(HTTP 403"),
        (lambda segment: setattr(segment.public_api, "sees_write_keys", False), "Works: ", UNSEEN),
        (
            lambda segment: setattr(segment.profile_api, "token", "another"),
            "Works in part",
            "Make a token of this space",
        ),
        (lambda segment: setattr(segment.profile_api, "space_id", "spa_2"), "Works in part", "has: 'Sandbox' (spa_2)."),
    ],
)
def test_the_text_for_a_wrong_connection_says_what_to_change(
    sandbox: Sandbox, change: Callable[[SandboxSegment], None], begins: str, what: str
) -> None:
    change(sandbox.segment)
    sentence = SegmentApiHook().test_connection()[1]
    assert sentence.startswith(begins)
    assert what in sentence
