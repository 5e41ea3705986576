"""The OAuth fields of a Segment connection become a client with tokens, or an error that names the field."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clock import FakeClock
from fakes.oauth_segment import APP_ID, KEY_ID, WRITE_KEY, OAuthSegment, private_key
from fakes.recording_server import CannedResponse

from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged, Unreachable
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fakes.recording_server import RecordingServer

BATCH = b'{"batch": [{"type": "identify", "userId": "ann", "traits": {"t": true}, "messageId": "m"}]}'
APP = {"oauth_app_id": APP_ID, "oauth_key_id": KEY_ID}


@pytest.fixture
def server() -> Iterator[OAuthSegment]:
    with OAuthSegment() as running:
        yield running


def test_a_connection_with_an_application_sends_with_a_token(server: OAuthSegment, connect: Callable[..., str]) -> None:
    client = SegmentHook(connect("s", **server.connection())).get_conn()

    assert client.post_batch(BATCH) == Acknowledged()
    assert server.users == {"ann"}


@pytest.mark.parametrize("write", [lambda pem: pem.replace("\n", "\\n"), lambda pem: pem.replace("\n", "")])
def test_the_private_key_may_be_written_on_one_line(
    server: OAuthSegment, connect: Callable[..., str], write: Callable[[str], str]
) -> None:
    """As environment variables, URIs and the field of a form have it."""
    conn_id = connect("s", **server.connection(oauth_private_key=write(private_key())))

    assert SegmentHook(conn_id).get_conn().post_batch(BATCH) == Acknowledged()


@pytest.mark.parametrize(
    ("extra", "region", "host"),
    [
        ({}, "US", "https://oauth2.segment.io"),
        ({"region": "EU"}, "EU", "https://oauth2.eu1.segmentapis.com"),
        ({"oauth_host": "https://proxy.example.com/oauth/"}, "US", "https://proxy.example.com/oauth"),
        ({"oauth_host": "proxy.example.com/token"}, "US", "https://proxy.example.com"),
        ({"oauth_host": "http://127.0.0.1:8765"}, "US", "http://127.0.0.1:8765"),
        ({"oauth_host": " "}, "US", "https://oauth2.segment.io"),
    ],
)
def test_the_region_decides_where_tokens_come_from_and_a_host_overrides(
    connect: Callable[..., str], extra: dict[str, str], region: str, host: str
) -> None:
    extra = {**APP, "oauth_private_key": private_key(), **extra, "region": region}
    client = SegmentHook(connect("s", conn_type="segmentio", password=WRITE_KEY, extra=extra)).get_conn()

    assert client._oauth is not None
    assert client._oauth.tokens.app.audience == host


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("http://proxy.example.com", "it is not a host that is reached by https"),
        ("ftp://proxy.example.com", "it is not a host that is reached by https"),
        ("https://user:hush@proxy.example.com", "it is not a host that is reached by https"),
        ("https://proxy.example.com?a=b", "it is not a host that is reached by https"),
        ("https://a b", "it is not a host that is reached by https"),
        ("https://oauth2.eu1.segmentapis.com/", "it is the host of EU, and the data region is US"),
    ],
)
def test_a_host_that_would_show_the_assertion_or_is_another_regions_is_refused(
    connect: Callable[..., str], host: str, problem: str
) -> None:
    extra = {**APP, "oauth_private_key": private_key(), "oauth_host": host}
    hook = SegmentHook(connect("s", conn_type="segmentio", password=WRITE_KEY, extra=extra))

    with pytest.raises(SettingError, match="connection 's', field 'Extra oauth_host'") as refused:
        hook.get_conn()
    assert refused.value.problem == problem
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"oauth_app_id": APP_ID}, "OAuth key ID"),
        (APP, "OAuth private key"),
        ({**APP, "oauth_private_key": " \n"}, "OAuth private key"),
        ({"oauth_key_id": KEY_ID, "oauth_private_key": "a-pem"}, "OAuth app ID"),
        ({**APP, "oauth_app_id": "", "oauth_private_key": "a-pem"}, "OAuth app ID"),
        ({**APP, "oauth_private_key": "MIIE-no-pem"}, "OAuth private key"),
        ({**APP, "oauth_private_key": {"a": "MIIE-no-pem"}}, "OAuth private key"),
        ({**APP, "oauth_private_key": "-----BEGIN PRIVATE KEY-----\nMIIE-no-pem"}, "OAuth private key"),
    ],
)
def test_some_fields_of_oauth_without_the_others_are_refused_before_any_request(
    connect: Callable[..., str], extra: dict[str, Any], field: str
) -> None:
    """Otherwise the batches would go out without a token."""
    hook = SegmentHook(connect("s", conn_type="segmentio", password=WRITE_KEY, extra=extra))

    with pytest.raises(SettingError, match=f"connection 's', field '{field}'") as refused:
        hook.get_conn()
    assert "MIIE" not in f"{refused.value} {vars(refused.value)}"
    works, sentence = hook.test_connection()
    assert (works, sentence.startswith(f"Field '{field}': ")) == (False, True)


def test_empty_fields_of_oauth_are_none(server: OAuthSegment, connect: Callable[..., str]) -> None:
    """As the form leaves them."""
    extra = {"oauth_app_id": "", "oauth_key_id": None, "oauth_private_key": " "}
    client = SegmentHook(connect("s", **{**server.connection(), "extra": extra})).get_conn()
    client.post_batch(BATCH)

    assert server.came[0].headers["authorization"].startswith("Basic ")
    assert server.came[0].body == BATCH


def test_the_token_endpoint_is_reached_with_the_connections_own_authority(
    connect: Callable[..., str], tls_server: tuple[RecordingServer, Path]
) -> None:
    server, authority = tls_server
    server.responses = [CannedResponse(body=b'{"access_token": "t"}'), CannedResponse(body=b'{"success": true}')]
    extra = {**APP, "oauth_private_key": private_key(), "oauth_host": server.url}
    fields = {"conn_type": "segmentio", "password": WRITE_KEY, "host": server.url}

    untrusted = SegmentHook(connect("u", **fields, extra=extra)).get_conn().post_batch(BATCH)
    trusted = SegmentHook(connect("t", **fields, extra={**extra, "verify": str(authority)})).get_conn()

    assert isinstance(untrusted, Unreachable)
    assert untrusted.reason == "no access token: the server has a certificate of an issuer that is unknown here"
    assert server.came == []
    assert trusted.post_batch(BATCH) == Acknowledged()
    assert server.came[1].headers["authorization"] == "Bearer t"


def test_no_token_endpoint_is_to_be_retried_with_the_field_to_check(
    server: OAuthSegment, connect: Callable[..., str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{free.getsockname()[1]}"
    response = SegmentHook(connect("s", **server.connection(oauth_host=host))).get_conn().post_batch(BATCH)

    assert response == RetryLater(None, None, "no access token: the server refuses the connection")
    assert "Extra oauth_host of the connection" in response.advice


def test_the_test_button_says_that_the_application_is_accepted_and_what_that_does_not_prove(
    server: OAuthSegment, connect: Callable[..., str]
) -> None:
    works, sentence = SegmentHook(connect("s", **server.connection())).test_connection()

    assert works
    assert sentence.startswith("Works in part: Segment accepts the OAuth application and issues an access token")
    assert "does NOT prove the write key" in sentence
    assert server.token_requests == 1
    assert [came.path for came in server.came if came.method == "POST"] == ["/token"]
    assert all(secret not in sentence for secret in {*server.tokens, WRITE_KEY})


def test_the_test_button_says_that_the_application_is_refused_without_what_the_response_quotes(
    server: OAuthSegment, connect: Callable[..., str]
) -> None:
    server.revoked = True
    works, sentence = SegmentHook(connect("s", **server.connection())).test_connection()

    assert not works
    assert sentence.startswith(
        "Refused: Segment issues no access token to this OAuth application (HTTP 401: invalid_client)."
    )
    assert "eyJ" not in sentence


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (CannedResponse(503), "Not tested: the token endpoint responds with HTTP 503. Test again in some minutes."),
        *[
            (response, "Not tested: no access token: the response is none of a token endpoint (HTTP ")
            for response in (
                CannedResponse(404),
                CannedResponse(405),
                CannedResponse(302),
                CannedResponse(body=b"<html>"),
            )
        ],
        (CannedResponse(raw=b""), "Not tested: no access token: the server closed the connection. Check scheme and"),
    ],
)
def test_the_test_button_says_that_the_token_endpoint_is_down(
    server: OAuthSegment, connect: Callable[..., str], response: CannedResponse, said: str
) -> None:
    server.token_script = [response]

    works, sentence = SegmentHook(connect("s", **server.connection())).test_connection()

    assert not works
    assert sentence.startswith(said)
    assert ("oauth_host" in sentence) == (response.status != 503)


def test_the_client_goes_by_the_hooks_clock(server: OAuthSegment, connect: Callable[..., str]) -> None:
    """As its tokens do: a token that takes long by that clock does."""
    clock = FakeClock()
    hook = SegmentHook(connect("s", **server.connection()))
    hook.clock, server.on_token = clock, lambda: clock.pass_by(6)
    server.ahead = clock.now() - server.now()

    assert hook.get_conn().post_batch(BATCH) == RetryLater(None, 0.0, "the access token took long to come")
    assert hook.get_conn().post_batch(BATCH) == Acknowledged()


def test_no_hook_and_no_destination_shows_the_private_key(server: OAuthSegment, connect: Callable[..., str]) -> None:
    hook = SegmentHook(connect("s", **server.connection()))
    shown = f"{hook!r} {vars(hook)} {hook.get_conn()!r} {hook.describe()!r}"

    assert all(line not in shown for line in private_key().splitlines()[1:-1])
