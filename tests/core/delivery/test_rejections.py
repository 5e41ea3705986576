"""When Segment refuses us and when it refuses a message; what a stream that met either comes to."""

import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import (
    RejectedUsersError,
    SegmentRefusedError,
    SegmentUnavailableError,
)

TRAIT = "Power Users (c1)"


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


def test_a_poisoned_user_who_alone_is_left_of_a_first_sync_is_rejected_by_the_retry(world: World) -> None:
    """The key is proved by what the same plan acknowledged before."""
    world.amplitude.cohort("c1", "Power Users", users(0, 251))
    world.segment.poisoned = {"user-000250"}
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a", max_concurrent_requests=1)
    world.segment.script = []

    with pytest.raises(RejectedUsersError):
        world.attempt("c1", run="a")

    assert world.report.destinations[0].committed
    assert world.segment.members(TRAIT) == set(users(0, 250))


def test_the_proof_of_a_key_outlives_an_abandoned_plan(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 251))
    world.segment.poisoned = {"user-000250"}
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a", max_concurrent_requests=1)
    world.segment.script = []
    world.clock.pass_by(3600)

    for run in ("b", "c"):
        report = world.sync("c1", run=run, on_rejected="warn")
        assert report.destinations[0].committed


@pytest.mark.parametrize("pace", [1.0, 7.0, 100.0])
def test_a_poisoned_user_in_front_holds_nobody_up_at_a_low_pace(world: World, pace: float) -> None:
    """However small the pace makes the batches, a refusal is judged by as many messages."""
    poisoned = users(0, 30)
    world.amplitude.cohort("c1", "Power Users", users(0, 40))
    world.segment.poisoned = set(poisoned)

    with pytest.raises(RejectedUsersError):
        world.attempt("c1", events_per_second=pace)

    assert world.segment.members(TRAIT) == set(users(30, 40))


def test_a_first_sync_of_poisoned_users_alone_marks_nobody(world: World) -> None:
    """Nothing says that the key is good."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.poisoned = {"ann", "bob"}

    with pytest.raises(SegmentRefusedError):
        world.attempt("c1")
    assert world.report.destinations[0].rejected == 0


def test_a_retry_that_is_refused_before_segment_goes_down_marks_nobody_yet(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.poisoned = {"ann"}
    world.segment.script = [None, None, *[no_response("ConnectionError")] * 20]

    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a")
    assert world.report.destinations[0].rejected == 0

    world.segment.script = []
    with pytest.raises(RejectedUsersError):
        world.attempt("c1", run="a")
    assert world.segment.members(TRAIT) == {"bob"}


def test_a_segment_that_asks_for_no_wait_at_all_is_not_hammered(world: World) -> None:
    """Retry-After: 0 again and again spends no retry, but each wait grows, up to the time limit."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.segment.script = [RetryLater(429, 0.0, "")] * 100_000

    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1")
    assert 100_000 - len(world.segment.script) < 100


def test_waits_are_told_in_the_log_and_progress_goes_on_meanwhile(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.segment.script = [RetryLater(503, None, "ann is overloaded"), no_response("ReadTimeout")]

    world.sync("c1")

    assert "did not acknowledge a batch (HTTP 503); retry in 0.5 s" in caplog.text
    assert "did not acknowledge a batch (ReadTimeout)" in caplog.text
    # What Segment says may quote a user.
    assert "ann is" not in caplog.text


@pytest.mark.parametrize("poisoned", [249, 250])
def test_with_a_proved_key_all_that_is_pending_may_be_poisoned(world: World, poisoned: int) -> None:
    world.amplitude.cohort("c1", "Power Users", ["zoe"])
    world.sync("c1")
    movers = users(0, poisoned)
    world.amplitude.cohort("c1", "Power Users", ["zoe", *movers])
    world.segment.poisoned = set(movers)

    report = world.sync("c1", on_rejected="warn")

    assert (report.destinations[0].rejected, report.destinations[0].committed) == (poisoned, True)


def test_a_refused_key_marks_not_even_a_message_that_is_too_long(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "x" * 40_000])
    world.segment.refuses_everything = True

    with pytest.raises(SegmentRefusedError):
        world.attempt("c1")
    assert world.report.destinations[0].rejected == 0
