"""Batches carry an access token, and the write key in their body; a doubtful token is replaced before it counts."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fakes.clock import FakeClock, FakeRandomSource
from fakes.oauth_segment import APP_ID, KEY_ID, WRITE_KEY, OAuthSegment, pem_of, private_key, public_key_of
from fakes.recording_server import CannedResponse

from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.clients.segment_oauth import OAuthKey, SegmentOAuth, read_pem
from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    OAuthRefused,
    Rejected,
    UnexpectedResponse,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import SettingError, XComValueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.delivery.response import Response


def batch(*user_ids: str) -> bytes:
    messages = [{"type": "identify", "userId": user, "traits": {"t": True}, "messageId": user} for user in user_ids]
    return json.dumps({"batch": messages, "context": {}}).encode()


def signs_nothing(request: Any) -> Any:
    return request


def session() -> requests.Session:
    opened = requests.Session()
    opened.auth = signs_nothing
    return opened


def client_of(server: OAuthSegment, clock: FakeClock, pem: str = "", write_key: str = WRITE_KEY) -> SegmentClient:
    key = OAuthKey(APP_ID, KEY_ID, pem or private_key(), "connection 's', field 'OAuth private key'")
    oauth = SegmentOAuth(key, write_key, session(), server.url, 2, clock=clock, random_source=FakeRandomSource())
    return SegmentClient(session(), server.url, 2, now=clock.now, monotonic=clock.monotonic, oauth=oauth)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[OAuthSegment]:
    with OAuthSegment(clock.now) as running:
        yield running


@pytest.fixture
def client(server: OAuthSegment, clock: FakeClock) -> Iterator[SegmentClient]:
    made = client_of(server, clock)
    yield made
    made.close()


def test_a_batch_carries_a_token_and_the_write_key_in_its_body(server: OAuthSegment, client: SegmentClient) -> None:
    body = batch("ann")
    assert client.post_batch(body) == Acknowledged()

    token, posted = server.came
    assert (token.method, token.path) == ("POST", "/token")
    assert "authorization" not in token.headers
    assert posted.headers["authorization"].startswith("Bearer tok-0001-")
    assert json.loads(posted.body) == {"writeKey": WRITE_KEY, **json.loads(body)}
    assert next(iter(json.loads(posted.body))) == "writeKey"


@pytest.mark.parametrize("write_key", [WRITE_KEY, 'quo"te\\', "schlüssel"])
def test_the_bytes_that_the_write_key_adds_are_known_before(
    server: OAuthSegment, clock: FakeClock, write_key: str
) -> None:
    client = client_of(server, clock, write_key=write_key)
    body = batch("ann")
    client.post_batch(body)

    posted = server.came[1].body
    assert client.added_bytes == len(posted) - len(body)
    assert json.loads(posted)["writeKey"] == write_key


def test_a_client_without_oauth_adds_nothing(server: OAuthSegment) -> None:
    plain = SegmentClient(session(), server.url, 2)
    plain.post_batch(batch("ann"))

    assert (plain.added_bytes, plain.has_oauth, plain.request_token()) == (0, False, None)
    assert server.came[0].body == batch("ann")
    assert server.token_requests == 0


@pytest.mark.parametrize("status", [400, 401, 403, 511])
def test_a_response_that_may_be_about_the_token_counts_only_with_a_new_one(
    server: OAuthSegment, client: SegmentClient, status: int
) -> None:
    server.batch_script = [CannedResponse(status)]

    assert client.post_batch(batch("ann")) == Acknowledged()
    assert server.token_requests == 2


@pytest.mark.parametrize(
    ("status", "response"),
    [
        (400, Rejected(400, "no reason given", is_token_in_doubt=True)),
        (401, OAuthRefused(401, "the source refuses the access token", is_of_source=True)),
        (403, OAuthRefused(403, "the source refuses the access token", is_of_source=True)),
        (511, RetryLater(511)),
    ],
)
def test_a_response_that_a_new_token_does_not_change_counts(
    server: OAuthSegment, client: SegmentClient, status: int, response: Response
) -> None:
    server.batch_script = [CannedResponse(status)] * 2

    assert client.post_batch(batch("ann")) == response
    assert server.token_requests == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(413, Rejected), (429, RetryLater), (503, RetryLater), (302, UnexpectedResponse)]
)
def test_any_other_response_costs_no_token(
    server: OAuthSegment, client: SegmentClient, status: int, kind: type[Response]
) -> None:
    server.batch_script = [CannedResponse(status)]

    assert isinstance(client.post_batch(batch("ann")), kind)
    assert server.token_requests == 1


def test_a_poisoned_message_costs_one_token_before_the_first_acknowledgement_and_none_after_it(
    server: OAuthSegment, client: SegmentClient, clock: FakeClock
) -> None:
    server.poisoned = {"bob"}
    for _ in range(10):
        assert client.post_batch(batch("bob")) == Rejected(400, "invalid", is_token_in_doubt=True)
        clock.pass_by(60)
    assert client.post_batch(batch("ann")) == Acknowledged()

    for _ in range(10):
        assert client.post_batch(batch("ann", "bob")) == Rejected(400, "invalid")
        clock.pass_by(60)
    assert server.token_requests == 2


def test_a_400_to_a_dropped_token_rejects_nobody_however_short_ago_the_token_was_acknowledged(
    server: OAuthSegment, client: SegmentClient
) -> None:
    """Some services respond with 400 to a token that they dropped."""
    server.refused_status = 400
    server.poisoned = {"bob"}
    assert client.post_batch(batch("ann")) == Acknowledged()
    for user in ("eve", "joe"):
        assert client.post_batch(batch("bob")) == Rejected(400, "invalid")
        server.drop_tokens()
        assert client.post_batch(batch(user)) == Acknowledged()
        server.drop_tokens()
        assert client.post_batch(batch("bob")) == Rejected(400, "invalid")
    assert server.users == {"ann", "eve", "joe"}


def test_a_400_to_each_new_token_of_a_source_that_acknowledged_before_is_the_sources_refusal(
    server: OAuthSegment, client: SegmentClient
) -> None:
    assert client.post_batch(batch("ann")) == Acknowledged()
    server.batch_script = [CannedResponse(400)] * 99

    refused = OAuthRefused(400, "the source refuses the access token", is_of_source=True)
    assert [client.post_batch(batch("bob")) for _ in range(3)] == [refused] * 3
    assert server.token_requests == 2


def test_a_400_is_undecided_while_the_batch_that_decides_is_not_acknowledged(
    server: OAuthSegment, client: SegmentClient
) -> None:
    assert client.post_batch(batch("ann")) == Acknowledged()
    server.batch_script = [CannedResponse(400), CannedResponse(503)]

    assert client.post_batch(batch("bob")) == RetryLater(503, None, "no reason given")


def test_a_small_and_young_batch_is_the_one_that_is_posted_again(
    server: OAuthSegment, client: SegmentClient, clock: FakeClock
) -> None:
    server.poisoned = {"bob"}

    def posted_again(*acknowledged: str) -> bytes:
        for users in acknowledged:
            client.post_batch(batch(*users.split()))
        client.post_batch(batch("bob"))
        return server.came[-1].body.partition(b",")[2]

    assert posted_again("ann eve", "joe", "ann eve joe") == batch("joe")[1:]
    clock.pass_by(61)
    assert posted_again("ann eve") == batch("ann", "eve")[1:]


@pytest.mark.parametrize(
    "body",
    [
        b'{"writeKey": "another", "batch": []}',
        b'{"batch": [], "writeKey": "another"}',
        b' {"batch": []}',
        b"{}",
        b"[]",
        b"",
        b'{\n"batch": []}',
    ],
)
def test_a_body_that_the_write_key_cannot_be_put_into_is_refused_before_any_request(
    server: OAuthSegment, client: SegmentClient, body: bytes
) -> None:
    with pytest.raises(ValueError, match="writeKey"):
        client.post_batch(body)
    assert server.came == []


def test_a_batch_that_is_posted_again_with_another_token_has_a_retry_count(
    server: OAuthSegment, client: SegmentClient
) -> None:
    server.batch_script = [CannedResponse(401)]
    client.post_batch(batch("ann"))
    server.batch_script = [CannedResponse(401)]
    client.post_batch(batch("ann"), retry=2)

    counts = [came.headers.get("x-retry-count") for came in server.came if came.path == "/v1/batch"]
    assert counts == [None, "1", "2", "3"]


def test_a_token_that_segment_revoked_is_replaced(server: OAuthSegment, client: SegmentClient) -> None:
    assert client.post_batch(batch("ann")) == Acknowledged()
    server.drop_tokens()

    assert client.post_batch(batch("bob")) == Acknowledged()
    assert server.token_requests == 2


def test_a_token_is_replaced_before_it_ends(server: OAuthSegment, client: SegmentClient, clock: FakeClock) -> None:
    server.life = 100
    for _ in range(10):
        assert client.post_batch(batch("ann")) == Acknowledged()
        clock.pass_by(30)

    assert server.token_requests == 5
    assert sum(came.path == "/v1/batch" for came in server.came) == 10


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
def test_a_clock_an_hour_off_costs_one_request_more_and_no_batch(
    server: OAuthSegment, client: SegmentClient, ahead: float
) -> None:
    server.ahead = ahead

    assert client.post_batch(batch("ann")) == Acknowledged()
    assert [came.path for came in server.came] == ["/token", "/token", "/v1/batch"]


def test_a_revoked_application_is_refused_and_no_batch_is_posted(server: OAuthSegment, client: SegmentClient) -> None:
    """The response quotes the assertion, and what is read of it does not."""
    server.revoked = True

    assert client.post_batch(batch("ann")) == OAuthRefused(401, "invalid_client")
    assert client.request_token() == OAuthRefused(401, "invalid_client")
    assert [came.path for came in server.came] == ["/token"]


@pytest.mark.parametrize(
    ("response", "reason", "after"),
    [
        (CannedResponse(503), "the token endpoint responds with HTTP 503", None),
        (CannedResponse(429, {"Retry-After": "7"}), "the token endpoint responds with HTTP 429", 7.0),
        (CannedResponse(429, {"X-RateLimit-Reset": "9"}), "the token endpoint responds with HTTP 429", 9.0),
        (CannedResponse(body=b'{"access_tok'), "no access token: the response was cut off", None),
        (CannedResponse(raw=b""), "no access token: the server closed the connection", None),
    ],
)
def test_a_token_endpoint_that_is_down_is_retried_with_the_batch(
    server: OAuthSegment,
    client: SegmentClient,
    clock: FakeClock,
    response: CannedResponse,
    reason: str,
    after: float | None,
) -> None:
    server.token_script = [response]

    assert client.post_batch(batch("ann")) == RetryLater(None, after, reason)
    clock.pass_by(after or 0.5)
    assert client.post_batch(batch("ann")) == Acknowledged()


def test_a_batch_waits_for_its_next_try_where_a_token_took_long(
    server: OAuthSegment, client: SegmentClient, clock: FakeClock
) -> None:
    """Because its sender verified its claims long ago."""
    server.on_token = lambda: clock.pass_by(6)

    waits = client.post_batch(batch("ann"))
    assert waits == RetryLater(None, 0.0, "the access token took long to come")
    assert not waits.is_posted
    assert server.users == set()
    assert client.post_batch(batch("ann")) == Acknowledged()


@pytest.mark.parametrize(
    "page", [CannedResponse(403, body=b"<html>"), CannedResponse(404), CannedResponse(302, {"Location": "/login"})]
)
def test_a_page_of_a_proxy_instead_of_the_next_token_does_not_end_the_one_that_lives(
    server: OAuthSegment, client: SegmentClient, clock: FakeClock, page: CannedResponse
) -> None:
    assert client.post_batch(batch("ann")) == Acknowledged()
    server.token_script = [page]
    clock.pass_by(43_200)
    assert client.post_batch(batch("bob")) == Acknowledged()
    clock.pass_by(60)
    assert client.post_batch(batch("eve")) == Acknowledged()

    assert len(server.tokens) == 2


def test_senders_share_one_token(server: OAuthSegment, client: SegmentClient) -> None:
    together = threading.Barrier(16)

    def post(number: int) -> Response:
        together.wait()
        return client.post_batch(batch(f"user-{number}"))

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(post, range(16))) == {Acknowledged()}
        server.drop_tokens()
        assert set(pool.map(post, range(16))) == {Acknowledged()}
    assert server.token_requests == 2


@pytest.mark.parametrize(
    "written",
    [
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: pem.replace("\n", ""),
        lambda pem: pem.replace("\n", " "),
        lambda pem: f"  \n{pem.strip()}",
    ],
    ids=["escaped", "of Windows", "one line", "blanks", "no line break at the end"],
)
def test_a_private_key_works_however_its_line_breaks_are_written(
    server: OAuthSegment, clock: FakeClock, written: Any
) -> None:
    pem = read_pem(written(private_key()))

    assert pem == private_key()
    assert client_of(server, clock, pem).post_batch(batch("ann")) == Acknowledged()


def test_an_older_layout_of_a_private_key_works(server: OAuthSegment, clock: FakeClock) -> None:
    loaded = serialization.load_pem_private_key(private_key().encode(), password=None)

    older = read_pem(pem_of(loaded, layout="TraditionalOpenSSL"))

    assert older is not None
    assert client_of(server, clock, older).post_batch(batch("ann")) == Acknowledged()


@pytest.mark.parametrize("public_first", [True, False])
def test_a_private_key_is_found_beside_its_public_key(public_first: bool) -> None:
    both = [public_key_of(private_key()), private_key()]

    assert read_pem("".join(both if public_first else reversed(both))) == private_key()


def unusable_keys() -> dict[str, tuple[str, str]]:
    pem = private_key()
    loaded = serialization.load_pem_private_key(pem.encode(), password=None)
    elliptic = ec.generate_private_key(ec.SECP256R1())
    return {
        "public": (public_key_of(pem), "it is a public key or a certificate, not a private key"),
        "encrypted": (pem_of(loaded, "hush"), "it is encrypted with a password"),
        "encrypted, older": (pem_of(loaded, "hush", "TraditionalOpenSSL"), "it is encrypted with a password"),
        "elliptic": (pem_of(elliptic), "it is not an RSA key, and Segment takes no other"),
        "short": (
            pem_of(rsa.generate_private_key(public_exponent=65_537, key_size=1024)),  # noqa: S505
            "it has 1,024 bits, and a signature needs 2,048",
        ),
        "of OpenSSH": (pem_of(loaded, layout="OpenSSH"), "it is in the format of OpenSSH"),
        "cut": (pem.replace(pem.splitlines()[5], ""), "it cannot be read as a private key"),
        "no base64": (
            "-----BEGIN PRIVATE KEY-----\n?!\n-----END PRIVATE KEY-----",
            "it cannot be read as a private key",
        ),
    }


@pytest.mark.parametrize(
    "name", ["public", "encrypted", "encrypted, older", "elliptic", "short", "of OpenSSH", "cut", "no base64"]
)
def test_a_key_that_cannot_sign_is_refused_by_its_field_and_never_quoted(
    server: OAuthSegment, clock: FakeClock, name: str
) -> None:
    text, problem = unusable_keys()[name]
    pem = read_pem(text)
    assert pem is not None

    with pytest.raises(SettingError) as refused:
        client_of(server, clock, pem)

    assert refused.value.setting == "connection 's', field 'OAuth private key'"
    assert refused.value.problem == problem
    shown = f"{refused.value} {refused.value!r} {vars(refused.value)} {refused.value.__cause__}"
    assert all(line not in shown for line in pem.splitlines()[1:-1] if line)
    assert server.came == []


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    server: OAuthSegment, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)

    with pytest.raises(SettingError, match=r"one is missing on this worker.*\[oauth\]"):
        client_of(server, clock)


def test_no_client_shows_or_passes_on_its_keys_and_tokens(server: OAuthSegment, client: SegmentClient) -> None:
    client.post_batch(batch("ann"))
    assert client._oauth is not None
    key = OAuthKey(APP_ID, KEY_ID, private_key(), "s")

    hidden = {*server.tokens, WRITE_KEY, *private_key().splitlines()[1:-1]}
    for thing in (client, client._oauth, client._oauth.tokens, client._oauth.tokens.get(), key):
        assert all(secret not in f"{thing!r} {thing}" for secret in hidden)
    for thing in (client, client._oauth, key, client._oauth.tokens.get()):
        for give_away in (pickle.dumps, copy.copy):
            with pytest.raises(XComValueError):
                give_away(thing)
    with pytest.raises(XComValueError):
        key.serialize()
