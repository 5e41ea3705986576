"""One run at a time syncs a stream."""

import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.ledger.claim import CLAIM_SECONDS, Claim, take_claim, verify_claims
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, ClaimLostError


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream("1234", "c1", world.destination())


def test_a_second_run_fails_at_once_and_names_the_first(world: World, stream: Stream) -> None:
    take_claim(world.store, stream, world.run_named("a"), world.clock.now())

    with pytest.raises(ClaimHeldError, match="run 'a'") as held:
        take_claim(world.store, stream, world.run_named("b"), world.clock.now())
    assert held.value.retryable


def test_a_retry_of_the_same_run_is_never_kept_out(world: World, stream: Stream) -> None:
    take_claim(world.store, stream, world.run_named("a"), world.clock.now())

    assert take_claim(world.store, stream, world.run_named("a", 2), world.clock.now()).generation == 2


def test_an_expired_claim_is_taken_over_and_its_owner_finds_out(world: World, stream: Stream) -> None:
    claim = take_claim(world.store, stream, world.run_named("a"), world.clock.now())
    verify_claims(world.store, stream, claim)

    take_claim(world.store, stream, world.run_named("b"), world.clock.now() + CLAIM_SECONDS + 1)

    with pytest.raises(ClaimLostError):
        verify_claims(world.store, stream, claim)


def test_a_released_claim_lets_the_next_run_in(world: World, stream: Stream) -> None:
    with HeldClaims(world.store, [stream], world.run_named("a"), world.clock):
        pass

    assert take_claim(world.store, stream, world.run_named("b"), world.clock.now()).generation == 2


def test_of_two_that_begin_in_the_same_instant_one_wins(world: World, stream: Stream) -> None:
    """The other one meets the claim only when it creates its own."""
    rival = Claim.of(world.run_named("b"), 1, world.clock.now())

    def begin_too(name: str) -> None:
        world.store.before_write = lambda _name: None
        world.store.create(name, rival.to_json())

    world.store.before_write = begin_too

    with pytest.raises(ClaimHeldError, match="run 'b'"):
        take_claim(world.store, stream, world.run_named("a"), world.clock.now())


def test_several_streams_are_claimed_all_or_none(world: World) -> None:
    streams = [Stream("1234", "c1", world.destination(key)) for key in ("x", "y")]
    take_claim(world.store, streams[1], world.run_named("a"), world.clock.now())

    with pytest.raises(ClaimHeldError):
        HeldClaims(world.store, streams, world.run_named("b"), world.clock)

    assert take_claim(world.store, streams[0], world.run_named("c"), world.clock.now())


def test_a_half_written_claim_of_a_dead_writer_keeps_nobody_out(world: World, stream: Stream) -> None:
    world.store.objects[f"{stream.folder}/claim-1.json"] = b'{"package": "airflow-provider-ampl'

    assert take_claim(world.store, stream, world.run_named("a"), world.clock.now()).generation == 2


def test_an_owner_that_was_taken_over_while_it_told_sends_and_writes_nothing_more(world: World) -> None:
    """The look at the claims comes after the plan is written and before anything is sent."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    stream = Stream("1234", "c1", world.destination())

    def take_over(name: str) -> None:
        if name.endswith("plan-1.json"):
            world.store.before_write = lambda _name: None
            take_claim(world.store, stream, world.run_named("b"), world.clock.now() + CLAIM_SECONDS + 1)

    world.store.before_write = take_over
    with pytest.raises(ClaimLostError):
        world.attempt("c1", run="a")

    assert world.segment.identifies == 0
    assert world.store.writes[-1].endswith("plan-1.json")


def test_a_sync_that_is_held_out_spends_no_export(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    stream = Stream("1234", "c1", world.destination())
    take_claim(world.store, stream, world.run_named("b"), world.clock.now())

    with pytest.raises(ClaimHeldError):
        world.attempt("c1", run="a")
    assert world.amplitude.exports_spent == 0


def test_an_owner_that_wakes_before_its_plan_and_after_a_whole_other_run_says_that_it_lost_its_claim(
    world: World,
) -> None:
    """The other run has taken away the file that the plan names; that is no damage."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    def sync_meanwhile(name: str) -> None:
        if name.endswith("plan-1.json"):
            world.store.before_write = lambda _name: None
            world.clock.pass_by(CLAIM_SECONDS + 1)
            world.sync("c1", run="b")

    world.store.before_write = sync_meanwhile
    with pytest.raises(ClaimLostError):
        world.attempt("c1", run="a")

    assert world.segment.members("Power Users (c1)") == {"ann"}
    assert world.segment.identifies == 1
    assert world.store.writes[-1].endswith("plan-1.json")


@pytest.mark.parametrize("expires_at", ["1e999", "NaN", "1" + "0" * 400, "1e20"])
def test_a_claim_whose_expiry_is_no_time_keeps_nobody_out(world: World, stream: Stream, expires_at: str) -> None:
    entry = (
        Claim(1, "b", "run 'b'", 1, 12045.0, 12345.0)
        .to_json()
        .replace(b'_epoch": 12345.0', b'_epoch": ' + expires_at.encode())
    )
    world.store.objects[f"{stream.folder}/claim-1.json"] = entry

    assert take_claim(world.store, stream, world.run_named("a"), world.clock.now()).generation == 2


def test_a_run_of_another_airflow_with_the_same_key_is_kept_out_in_each_of_its_tries(
    world: World, stream: Stream
) -> None:
    """Two Airflows that are configured alike; each has started the DAG run of this ID at its own moment."""
    take_claim(world.store, stream, world.run_named("a", started_at="10:00:00"), world.clock.now())

    for number in (1, 2, 3):
        with pytest.raises(ClaimHeldError, match="run 'a'"):
            take_claim(world.store, stream, world.run_named("a", number, started_at="10:00:01"), world.clock.now())


def test_a_run_that_was_cleared_after_its_end_is_not_kept_out_by_what_it_left(world: World, stream: Stream) -> None:
    """Airflow starts it again, at another moment, and counts that it was cleared."""
    take_claim(world.store, stream, world.run_named("a", started_at="10:00:00"), world.clock.now())

    cleared = world.run_named("a", 2, started_at="11:30:00", clear_number=1)
    assert take_claim(world.store, stream, cleared, world.clock.now()).generation == 2


def test_a_try_that_was_not_deferred_is_run_once(world: World, stream: Stream) -> None:
    """A second process of one try is not its retry; nor is a try that Airflow gave up the successor of the next."""
    take_claim(world.store, stream, world.run_named("a", 2), world.clock.now())

    for number in (1, 2):
        with pytest.raises(ClaimHeldError):
            take_claim(world.store, stream, world.run_named("a", number), world.clock.now())


def test_a_deferred_try_is_resumed_under_its_own_number(world: World, stream: Stream) -> None:
    with HeldClaims(world.store, [stream], world.run_named("a"), world.clock) as held_claims:
        held_claims.extend_for_deferral(4200.0)

    assert take_claim(world.store, stream, world.run_named("a"), world.clock.now()).generation == 2
    with pytest.raises(ClaimHeldError):
        take_claim(world.store, stream, world.run_named("a"), world.clock.now())


def test_an_owner_that_was_taken_over_names_the_run_that_did(world: World, stream: Stream) -> None:
    claim = take_claim(world.store, stream, world.run_named("a"), world.clock.now())
    take_claim(world.store, stream, world.run_named("b", 3), world.clock.now() + CLAIM_SECONDS + 1)

    with pytest.raises(ClaimLostError, match=r"claim 2 of run 'b' \(try 3\)") as lost:
        verify_claims(world.store, stream, claim)
    assert (lost.value.generation, lost.value.newer, lost.value.holder) == (1, 2, "run 'b' (try 3)")
