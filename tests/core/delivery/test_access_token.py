"""Senders share one token: one request at a time, a new one in time, and a dropped one only for a good reason."""

import pickle
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
from airflow_provider_amplitude_segment.exceptions import XComValueError

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


class Arrivals:
    """Counts threads, and lets one wait until all have come; so a test depends on no machine's speed."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._threads: set[int] = set()
        self._changed = threading.Condition()

    def arrive(self) -> None:
        with self._changed:
            self._threads.add(threading.get_ident())
            self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._threads) == self._expected, timeout=60)


class WatchedClock(FakeClock):
    """A clock that calls ``on_read`` whenever the time is read."""

    on_read: Callable[[], None] = staticmethod(lambda: None)

    def monotonic(self) -> float:
        self.on_read()
        return super().monotonic()


@pytest.fixture
def clock() -> WatchedClock:
    return WatchedClock()


@pytest.fixture
def endpoint() -> TokenEndpoint:
    return TokenEndpoint()


@pytest.fixture
def tokens(clock: WatchedClock, endpoint: TokenEndpoint) -> AccessTokens:
    app = OAuthApp("app1", "https://oauth2.segment.io")
    return AccessTokens(app, endpoint.sign, endpoint.request, clock, FakeRandomSource())


def issued(token: AccessToken | NoToken | None) -> AccessToken:
    assert isinstance(token, AccessToken)
    return token


@pytest.mark.parametrize(("life", "seconds"), [(DAY, DAY / 2), (3_600.0, 1_800.0), (None, 60.0)])
def test_a_token_is_used_for_half_its_life(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock, life: float | None, seconds: float
) -> None:
    endpoint.life = life
    first = issued(tokens.get())
    clock.pass_by(seconds - 1)
    assert tokens.get() is first
    clock.pass_by(1)

    assert issued(tokens.get()).value == "secret-2"
    assert endpoint.requests == 2


def hold_until_all_need_one(endpoint: TokenEndpoint, clock: WatchedClock) -> Callable[[AccessTokens], list[Any]]:
    """Let 16 threads take a token; the response to each request waits until all of them have looked for one."""
    arrivals, together = Arrivals(16), threading.Barrier(16)
    clock.on_read, endpoint.on_request = arrivals.arrive, arrivals.wait

    def get(tokens: AccessTokens) -> AccessToken | NoToken:
        together.wait()
        return tokens.get()

    def run(tokens: AccessTokens) -> list[Any]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(get, [tokens] * 16))

    return run


def test_threads_that_need_a_token_at_the_same_time_share_one_request(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    taken = hold_until_all_need_one(endpoint, clock)(tokens)

    assert {issued(token).value for token in taken} == {"secret-1"}
    assert endpoint.requests == 1


def test_threads_that_wait_for_a_request_share_its_failure(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    endpoint.script = [no_token("the server refuses the connection")]

    assert set(hold_until_all_need_one(endpoint, clock)(tokens)) == {no_token("the server refuses the connection")}
    assert endpoint.requests == 1


def test_the_others_use_the_living_token_while_one_thread_waits_for_the_next(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    first = issued(tokens.get())
    clock.pass_by(DAY / 2)
    asked, answer = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        answer.wait(60)

    endpoint.on_request = hang
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(tokens.get)
        assert asked.wait(60)
        try:
            assert [tokens.get() is first for _ in range(8)] == [True] * 8
        finally:
            answer.set()
        assert issued(renewing.result()).value == "secret-2"
    assert endpoint.requests == 2


def test_no_token_is_requested_before_the_time_that_the_endpoint_asks_for(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    endpoint.script = [RetryLater(None, 30.0, "HTTP 429")]
    assert tokens.get() == RetryLater(None, 30.0, "HTTP 429")
    clock.pass_by(10)
    assert tokens.get() == RetryLater(None, 20.0, "HTTP 429")
    assert endpoint.requests == 1
    clock.pass_by(20)

    assert issued(tokens.get()).value == "secret-2"


def test_a_token_that_cannot_be_replaced_is_used_until_it_ends(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
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


def test_a_token_outlives_a_proxys_page_at_its_renewal(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    first = issued(tokens.get())
    endpoint.script = [Unreachable("none of a token endpoint (HTTP 403)"), Unreachable("an untrusted certificate")]
    clock.pass_by(DAY / 2)
    assert [tokens.get() is first for _ in range(3)] == [True] * 3
    assert endpoint.requests == 2
    clock.pass_by(60)
    assert tokens.get() is first
    assert endpoint.requests == 3
    clock.pass_by(60)

    assert issued(tokens.get()).value == "secret-4"


def test_what_is_no_token_endpoint_is_final_when_the_token_has_ended_or_was_dropped(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    proxy = Unreachable("none of a token endpoint (HTTP 403)")
    first = issued(tokens.get())
    endpoint.script = [proxy] * 3
    clock.pass_by(DAY / 2)
    assert tokens.get() is first

    assert tokens.replacement(first) == proxy
    assert tokens.get() == proxy
    assert endpoint.requests == 3


def test_a_refused_application_ends_its_living_token(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    issued(tokens.get())
    endpoint.script = [OAuthRefused(401, "invalid_client")]
    clock.pass_by(DAY / 2)

    assert tokens.get() == OAuthRefused(401, "invalid_client")


@pytest.mark.parametrize("final", [OAuthRefused(401, "invalid_client"), Unreachable("an untrusted certificate")])
def test_an_application_that_is_refused_is_not_asked_for_again(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock, final: OAuthRefused | Unreachable
) -> None:
    endpoint.script = [final]
    assert tokens.get() == final
    clock.pass_by(DAY)

    assert tokens.get() == final
    assert endpoint.requests == 1


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
def test_a_clock_that_is_an_hour_off_is_corrected_by_the_response_and_stays_so(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock, ahead: float
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


def test_a_doubtful_token_is_replaced_and_the_next_ones_response_counts_until_it_was_acknowledged(
    tokens: AccessTokens, endpoint: TokenEndpoint, clock: WatchedClock
) -> None:
    first = issued(tokens.get())
    second = issued(tokens.replacement(first))
    assert second.value == "secret-2"
    tokens.acknowledged(first)
    for _ in range(20):
        assert tokens.replacement(second) is None
        clock.pass_by(60)
    assert endpoint.requests == 2
    tokens.acknowledged(second)

    third = issued(tokens.replacement(second))
    assert third.value == "secret-3"
    assert tokens.replacement(third) is None


def test_a_token_that_was_issued_in_time_may_be_doubted_before_it_is_acknowledged(
    tokens: AccessTokens, clock: WatchedClock
) -> None:
    second = issued(tokens.replacement(issued(tokens.get())))
    assert tokens.replacement(second) is None
    clock.pass_by(DAY / 2)
    third = issued(tokens.get())

    assert issued(tokens.replacement(third)).value == "secret-4"


def test_senders_with_the_same_doubtful_token_get_the_same_new_one(
    tokens: AccessTokens, endpoint: TokenEndpoint
) -> None:
    first = issued(tokens.get())
    arrivals, together = Arrivals(16), threading.Barrier(16)
    endpoint.on_request = arrivals.wait

    def replace(_number: int) -> AccessToken | NoToken | None:
        together.wait()
        arrivals.arrive()
        return tokens.replacement(first)

    with ThreadPoolExecutor(16) as pool:
        replaced = [issued(token) for token in pool.map(replace, range(16))]

    assert {token.value for token in replaced} == {"secret-2"}
    assert endpoint.requests == 2


def test_a_dropped_token_is_not_used_although_no_other_one_comes(tokens: AccessTokens, endpoint: TokenEndpoint) -> None:
    first = issued(tokens.get())
    endpoint.script = [no_token("down"), no_token("down")]

    assert tokens.replacement(first) == no_token("down")
    assert tokens.get() == no_token("down")


def test_no_token_is_pickled(tokens: AccessTokens) -> None:
    for token in (issued(tokens.get()), TokenIssued("secret-1", DAY)):
        with pytest.raises(XComValueError):
            pickle.dumps(token)


def test_no_token_is_shown(tokens: AccessTokens) -> None:
    token = issued(tokens.get())

    assert token.value == "secret-1"
    assert all("secret" not in f"{thing!r} {thing}" for thing in (token, tokens, TokenIssued("secret-1", DAY)))
