"""The pace is kept, slows down after a 429, and comes back."""

import itertools

import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
from airflow_provider_amplitude_segment.core.http.retry import RetryLater


def most_in_a_second(rate_limiter: RateLimiter, batch: int, begin: float, seconds: float) -> int:
    """Send batches as fast as the pace lets, from ``begin`` on; return the most that one second saw."""
    starts = []
    now = begin
    while now < begin + seconds:
        now += rate_limiter.reserve(batch, now)
        starts.append(now)
    return max(sum(batch for start in starts if second <= start < second + 1) for second in starts)


def test_neither_the_first_second_nor_any_ten_see_more_than_the_pace_and_hardly_less(world: World) -> None:
    """By the fake clock of a whole delivery whose first request takes its time to connect."""
    world.amplitude.cohort("c1", "Power Users", [f"user-{n:06d}" for n in range(60_000)])
    arrived: list[tuple[float, int]] = []

    def arrive(messages: list[object]) -> None:
        if not arrived:
            world.clock.pass_by(0.2)
        arrived.append((world.clock.now(), len(messages)))

    world.segment.before_batch = arrive

    world.sync("c1", events_per_second=1000, max_concurrent_requests=1)

    def seen(begin: float, seconds: float) -> int:
        return sum(messages for at, messages in arrived if begin <= at < begin + seconds)

    assert seen(arrived[0][0], 1) <= 1000
    whole = [at for at, _ in arrived if at + 10 <= arrived[-1][0]]
    for begin in whole:
        for window in (begin, begin + 0.000_1):
            assert 9_850 <= seen(window, 10) <= 10_000
    assert len(whole) > 300


def test_after_a_429_half_is_sent_and_a_minute_later_everything_again() -> None:
    rate_limiter = RateLimiter(1000)
    rate_limiter.slow_down(100.0, 0.0)

    assert most_in_a_second(rate_limiter, 50, 100.0, 1.0) <= 550
    assert 700 <= most_in_a_second(rate_limiter, 50, 115.0, 1.0) <= 850
    assert most_in_a_second(rate_limiter, 50, 131.0, 5.0) >= 950


def test_a_429_again_and_again_never_brings_it_to_a_standstill() -> None:
    rate_limiter = RateLimiter(1600)
    for second in range(20):
        rate_limiter.slow_down(100.0 + second, 0.0)

    assert most_in_a_second(rate_limiter, 10, 120.0, 2.0) >= 100


def test_requests_side_by_side_that_meet_one_limit_slow_down_once() -> None:
    rate_limiter = RateLimiter(1000)
    for _ in range(8):
        rate_limiter.slow_down(100.0, 0.0)

    assert most_in_a_second(rate_limiter, 50, 100.0, 1.0) >= 450


def test_nobody_sends_while_segment_asks_to_wait() -> None:
    rate_limiter = RateLimiter(1000)
    rate_limiter.slow_down(100.0, 30.0)

    assert rate_limiter.reserve(250, 100.5) == pytest.approx(29.5)


def test_without_a_limit_what_was_sent_lately_is_halved_and_then_there_is_no_limit_again() -> None:
    rate_limiter = RateLimiter(None)
    assert [rate_limiter.reserve(2500, second / 2) for second in range(20)] == [0.0] * 20
    rate_limiter.slow_down(10.0, 0.0)

    assert most_in_a_second(rate_limiter, 250, 10.0, 1.0) <= 2 * 2500 * 0.65
    assert rate_limiter.reserve(1_000_000, 50.0) == 0.0
    assert rate_limiter.reserve(1_000_000, 50.0) == 0.0


def test_a_sync_that_meets_a_429_sends_slower_afterwards_and_everyone_arrives(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", [f"user-{n:05d}" for n in range(5000)])
    world.segment.script = [None, None, RetryLater(429, 10.0, "slow down"), None]
    times: list[float] = []
    world.segment.before_batch = lambda _messages: times.append(world.clock.now())

    destination = world.sync("c1", events_per_second=1000, max_concurrent_requests=1).destinations[0]

    gaps = [round(later - earlier, 2) for earlier, later in itertools.pairwise(times)]
    assert gaps[0] == pytest.approx(0.13, abs=0.05)
    assert gaps[2] >= 10
    assert 0.15 <= gaps[4] <= 0.25
    assert gaps[-1] < gaps[4]
    assert (destination.acknowledged, destination.retries) == (5000, 1)
