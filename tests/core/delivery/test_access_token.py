"""Senders share one token: one request at a time, a new one in time, and a dropped one only for a good reason."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fakes.clock import FakeClock, FakeRandomSource

from airflow_provider_amplitude_segment.core.delivery.access_token import (
    AccessToken,
    AccessTokens,
    NoToken,
    OAuthApp,
)
from airflow_provider_amplitude_segment.core.delivery.response import OAuthRefused, Unreachable
from airflow_provider_amplitude_segment.core.delivery.token_response import (
    ClockSkewed,
    TokenIssued,
    TokenResponse,
    no_token,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater

DAY = 86_400.0


class TokenEndpoint:
    """Issues token after token, unless its script says otherwise."""

    def __init__(self) -> None:
        self.life: float | None = DAY
        self.script: list[TokenResponse] = []
        self.claims: list[Mapping[str, Any]] = []
        self.on_request: Callable[[], None] = lambda: None

    def sign(self, claims: Mapping[str, Any]) -> str:
        self.claims.append(claims)
        return "assertion"

    def request(self, assertion: str) -> TokenResponse:
        assert assertion == "assertion"
        self.on_request()
        return self.script.pop(0) if self.script else TokenIssued(f"secret-{len(self.claims)}", self.life)

    @property
    def requests(self) -> int:
        return len(self.claims)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def endpoint() -> TokenEndpoint:
    return TokenEndpoint()


@pytest.fixture
def tokens(clock: FakeClock, endpoint: TokenEndpoint) -> AccessTokens:
    app = OAuthApp("app1", "https://oauth2.segment.io")
    return AccessTokens(app, endpoint.sign, endpoint.request, clock, FakeRandomSource())


def issued(token: AccessToken | NoToken | None) -> AccessToken:
    assert isinstance(token, AccessToken)
    return token


@pytest.mark.parametrize(("life", "seconds"), [(DAY, DAY / 2), (3_600.0, 1_800.0), (None, 60.0)])
def test_a_token_is_used_for_half_its_life(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock, life: float | None, seconds: float
) -> None:
    endpoint.life = life
    first = issued(tokens.get())
    clock.pass_by(seconds - 1)
    assert tokens.get() is first
    clock.pass_by(1)

    assert issued(tokens.get()).value == "secret-2"
    assert endpoint.requests == 2


def test_threads_that_need_a_token_at_the_same_time_share_one_request(
    tokens: AccessTokens, endpoint: TokenEndpoint
) -> None:
    together = threading.Barrier(16)

    def get(_number: int) -> AccessToken:
        together.wait()
        return issued(tokens.get())

    with ThreadPoolExecutor(16) as pool:
        assert len({token.value for token in pool.map(get, range(16))}) == 1
    assert endpoint.requests == 1


def test_threads_that_wait_for_a_request_share_its_failure(tokens: AccessTokens, endpoint: TokenEndpoint) -> None:
    endpoint.script = [no_token("the server refuses the connection")]
    together = threading.Barrier(16)

    def get(_number: int) -> AccessToken | NoToken:
        together.wait()
        return tokens.get()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(get, range(16))) == {no_token("the server refuses the connection")}
    assert endpoint.requests == 1


def test_no_token_is_requested_before_the_time_that_the_endpoint_asks_for(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock
) -> None:
    endpoint.script = [RetryLater(None, 30.0, "HTTP 429")]
    assert tokens.get() == RetryLater(None, 30.0, "HTTP 429")
    clock.pass_by(10)
    assert tokens.get() == RetryLater(None, 20.0, "HTTP 429")
    assert endpoint.requests == 1
    clock.pass_by(20)

    assert issued(tokens.get()).value == "secret-2"


def test_a_token_that_cannot_be_replaced_is_used_until_it_ends(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock
) -> None:
    """And the endpoint that is down is asked once a minute, because each request may take long."""
    first = issued(tokens.get())
    endpoint.script = [no_token("down")] * 99
    clock.pass_by(DAY / 2)
    assert tokens.get() is first
    clock.pass_by(59)
    assert tokens.get() is first
    assert endpoint.requests == 2
    clock.pass_by(1)
    assert tokens.get() is first
    assert endpoint.requests == 3
    clock.pass_by(DAY / 2)

    assert tokens.get() == no_token("down")


@pytest.mark.parametrize("final", [OAuthRefused(401, "invalid_client"), Unreachable("an untrusted certificate")])
def test_an_application_that_is_refused_is_not_asked_for_again(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock, final: OAuthRefused | Unreachable
) -> None:
    endpoint.script = [final]
    assert tokens.get() == final
    clock.pass_by(DAY)

    assert tokens.get() == final
    assert endpoint.requests == 1


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
def test_a_clock_that_is_an_hour_off_is_corrected_by_the_response_and_stays_so(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock, ahead: float
) -> None:
    right = clock.now() - ahead
    endpoint.script = [ClockSkewed(right)]

    issued(tokens.get())
    clock.pass_by(DAY)
    issued(tokens.get())

    assert [claims["iat"] for claims in endpoint.claims] == [right + ahead - 5, right - 5, right + DAY - 5]
    assert all(0 < claims["exp"] - claims["iat"] < 60 for claims in endpoint.claims)
    assert len({claims["jti"] for claims in endpoint.claims}) == 3


@pytest.mark.parametrize("script", [[ClockSkewed(None)], [ClockSkewed(1_000.0), ClockSkewed(2_000.0)]])
def test_a_clock_that_cannot_be_corrected_is_named(
    tokens: AccessTokens, endpoint: TokenEndpoint, script: list[TokenResponse]
) -> None:
    endpoint.script = script

    assert tokens.get() == OAuthRefused(400, "the worker's clock is wrong")
    assert endpoint.script == []


def test_a_doubtful_token_is_replaced_and_the_next_ones_response_counts(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: FakeClock
) -> None:
    """A batch that is halved gets a response after another, and each may be about the token."""
    first = issued(tokens.get())
    second = issued(tokens.replacement(first))
    assert second.value == "secret-2"
    for _ in range(20):
        assert tokens.replacement(second) is None
        clock.pass_by(2.9)
    assert endpoint.requests == 2
    clock.pass_by(2)

    assert issued(tokens.replacement(second)).value == "secret-3"


def test_senders_with_the_same_doubtful_token_get_the_same_new_one(
    tokens: AccessTokens, endpoint: TokenEndpoint
) -> None:
    first = issued(tokens.get())

    with ThreadPoolExecutor(16) as pool:
        replaced = [issued(token) for token in pool.map(lambda _: tokens.replacement(first), range(16))]

    assert {token.value for token in replaced} == {"secret-2"}
    assert endpoint.requests == 2


def test_a_dropped_token_is_not_used_although_no_other_one_comes(tokens: AccessTokens, endpoint: TokenEndpoint) -> None:
    first = issued(tokens.get())
    endpoint.script = [no_token("down"), no_token("down")]

    assert tokens.replacement(first) == no_token("down")
    assert tokens.get() == no_token("down")


def test_no_token_is_shown(tokens: AccessTokens) -> None:
    token = issued(tokens.get())

    assert token.value == "secret-1"
    assert all("secret" not in f"{thing!r} {thing}" for thing in (token, tokens, TokenIssued("secret-1", DAY)))
