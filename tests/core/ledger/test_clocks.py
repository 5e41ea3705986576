"""A worker whose clock is wrong keeps no run out for longer than a claim lasts, and dates nothing in the future."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from fakes import Killed, World
from fakes.clock import WrongClock

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS
from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.ledger.claim import (
    CLAIM_SECONDS,
    Claim,
    defer_claim,
    renew_claim,
    take_claim,
)
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import ChangedKeyError, ClaimHeldError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan

DAY = 86_400.0
AHEAD = 400 * DAY
TRAIT = "Power Users (c1)"


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream("1234", "c1", world.destination())


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


def newest(world: World, stream: Stream) -> Plan | Commit:
    entry = Ledger(world.store, stream.folder).newest()
    assert entry is not None
    return entry


def seconds_in_the_future(world: World) -> float:
    """By how much Segment believes a message to be of the future, when it corrects the sender's clock."""
    return max(
        datetime.fromisoformat(message["timestamp"]).timestamp() - datetime.fromisoformat(body["sentAt"]).timestamp()
        for body in world.segment.bodies
        for message in body["batch"]
    )


def kill_in_the_middle(world: World, *, run: str, ahead: float) -> None:
    """Let a worker with a wrong clock send some of 6,000 users, and die before it notes the last of them."""
    world.amplitude.cohort("c1", "Power Users", users(0, 6_000))
    world.segment.before_batch = lambda _messages: world.clock.pass_by(0.6)

    def die(name: str) -> None:
        if "acked-" in name:
            world.store.die_before_write(1)

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", run=run, ahead=ahead, max_concurrent_requests=1)
    world.store.before_write = lambda _name: None
    world.store.revive()
    assert 0 < world.segment.identifies < 6_000


# Claims.


def test_a_dead_owner_whose_clock_was_400_days_ahead_keeps_others_out_for_the_length_of_a_claim(
    world: World, stream: Stream
) -> None:
    kill_in_the_middle(world, run="a", ahead=AHEAD)
    first = world.clock.now()

    with pytest.raises(ClaimHeldError, match="run 'a'") as held:
        world.attempt("c1", run="b")
    assert (held.value.ahead, held.value.retryable) == ("400 days", True)
    assert datetime.fromisoformat(held.value.expires_at).timestamp() == pytest.approx(first + CLAIM_SECONDS, abs=1)
    assert "clocks of all workers are synchronized (NTP)" in str(held.value)
    with pytest.raises(ClaimHeldError, match=held.value.expires_at):
        world.attempt("c1", run="b")

    world.clock.pass_by(CLAIM_SECONDS)
    world.sync("c1", run="b")
    assert world.segment.members(TRAIT) == set(users(0, 6_000))
    assert not [name for name in world.store.names(stream.folder) if name.startswith("seen-1")]


def test_an_owner_whose_clock_is_ahead_holds_its_claim_for_as_long_as_it_renews_it(
    world: World, stream: Stream
) -> None:
    claim = take_claim(world.store, stream, world.run_named("a"), world.clock.now() + AHEAD)

    for minute in range(30):
        world.clock.pass_by(60)
        renew_claim(world.store, stream, claim, world.clock.now() + AHEAD)
        with pytest.raises(ClaimHeldError):
            take_claim(world.store, stream, world.run_named(f"b-{minute}"), world.clock.now())


def test_a_deferred_owner_whose_clock_was_ahead_holds_its_claim_for_the_length_it_asked_for(
    world: World, stream: Stream
) -> None:
    claim = take_claim(world.store, stream, world.run_named("a"), world.clock.now() + AHEAD)
    defer_claim(world.store, stream, claim, world.clock.now() + AHEAD, 4_200.0)
    with pytest.raises(ClaimHeldError):
        take_claim(world.store, stream, world.run_named("b"), world.clock.now())

    world.clock.pass_by(4_199)
    with pytest.raises(ClaimHeldError):
        take_claim(world.store, stream, world.run_named("b"), world.clock.now())
    world.clock.pass_by(1)

    assert take_claim(world.store, stream, world.run_named("b"), world.clock.now()).generation == 2


def test_readers_whose_clocks_are_wrong_too_neither_end_a_claim_early_nor_keep_it_up(
    world: World, stream: Stream
) -> None:
    """One reader's clock is an hour behind, one's is a year ahead of the right one; the owner's is two years ahead."""
    take_claim(world.store, stream, world.run_named("a"), world.clock.now() + 2 * 365 * DAY)

    def read(seconds: float) -> int:
        return take_claim(world.store, stream, world.run_named("b"), world.clock.now() + seconds).generation

    for ahead in (365 * DAY, 0.0, -3_600.0, 0.0):
        with pytest.raises(ClaimHeldError):
            read(ahead)
    world.clock.pass_by(CLAIM_SECONDS - 1)
    with pytest.raises(ClaimHeldError):
        read(0.0)
    world.clock.pass_by(1)

    assert read(0.0) == 2


@pytest.mark.parametrize("note", [b"", b'{"claim": 7', b'{"claim": "x", "seen_at_epoch": [0]}', b"[]"])
def test_a_note_that_cannot_be_read_or_is_of_an_earlier_claim_is_written_anew(
    world: World, stream: Stream, note: bytes
) -> None:
    take_claim(world.store, stream, world.run_named("a"), world.clock.now() + AHEAD)
    world.store.objects[f"{stream.folder}/seen-1.json"] = note

    with pytest.raises(ClaimHeldError):
        take_claim(world.store, stream, world.run_named("b"), world.clock.now())

    assert json.loads(world.store.objects[f"{stream.folder}/seen-1.json"])["seen_at_epoch"] == [world.clock.now()]


def test_a_released_claim_of_a_worker_whose_clock_is_ahead_lets_the_next_run_in_at_once(
    world: World, stream: Stream
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1", ahead=AHEAD)
    claim = Claim.from_json(world.store.objects[f"{stream.folder}/claim-1.json"])
    assert claim is not None
    assert claim.released

    world.sync("c1")

    assert not [name for name in world.store.names(stream.folder) if name.startswith("seen-")]


# Timestamps.


@pytest.mark.parametrize("ahead", [AHEAD, -AHEAD], ids=["ahead", "behind"])
def test_what_a_right_clock_sends_after_a_wrong_one_is_dated_now_and_wins(
    world: World, ahead: float, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", ahead=max(ahead, 0.0))
    world.amplitude.cohort("c1", "Power Users", ["bob"])

    world.sync("c1", ahead=min(ahead, 0.0))

    assert seconds_in_the_future(world) <= 0
    assert world.segment.members(TRAIT) == {"bob"}
    assert "the ledger is 400 days ahead of this worker's clock" in caplog.text
    assert "clocks of all workers are synchronized (NTP)" in caplog.text


def test_the_ledger_is_healed_by_one_sync_and_warns_no_more(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", ahead=AHEAD)
    world.sync("c1")
    caplog.clear()

    world.sync("c1")

    assert "ahead of this worker's clock" not in caplog.text


def test_a_clock_that_is_wrong_by_less_than_clocks_may_differ_is_outbid(
    world: World, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", ahead=CLOCK_TOLERANCE_SECONDS)
    dated = newest(world, stream).timestamp
    world.amplitude.cohort("c1", "Power Users", ["bob"])

    world.sync("c1")

    assert newest(world, stream).timestamp > dated
    assert world.segment.members(TRAIT) == {"bob"}
    assert "ahead of this worker's clock" not in caplog.text


def test_a_plan_that_a_wrong_clock_dated_is_resumed_under_its_message_ids_and_dated_now(
    world: World, stream: Stream
) -> None:
    kill_in_the_middle(world, run="a", ahead=AHEAD)
    sent = set(world.segment.times_received)

    world.sync("c1", run="a")

    assert seconds_in_the_future(world) <= 0
    assert world.segment.members(TRAIT) == set(users(0, 6_000))
    assert len(world.segment.times_received) == 6_000
    assert sent < set(world.segment.times_received)
    assert newest(world, stream).timestamp < "2027"


def test_a_clock_that_is_set_while_a_plan_is_sent_dates_no_message_in_the_future(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 6_000))
    sync = world.prepare("c1", ahead=AHEAD, max_concurrent_requests=1)
    clock = sync._session.ports.clock
    assert isinstance(clock, WrongClock)

    def synchronize(_messages: object) -> None:
        if world.segment.identifies:
            clock.ahead = 0.0

    world.segment.before_batch = synchronize
    sync.run()

    assert seconds_in_the_future(world) <= 0
    assert world.segment.members(TRAIT) == set(users(0, 6_000))


def test_going_back_to_a_commit_outbids_no_wrong_clock_either(world: World, stream: Stream, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    world.sync("c1", ahead=AHEAD)
    scratch = tmp_path / "back"
    scratch.mkdir()

    roll_back(MaintenancePorts(world.store, world.run_named("person"), world.clock, scratch), stream, 1)

    assert newest(world, stream).timestamp < "2027"


# What else is believed of a clock.


def test_an_export_that_a_wrong_clock_dated_in_the_future_is_used_for_seven_days_and_not_for_a_year(
    world: World,
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    for days, exports in ((6, 1), (8, 2)):
        world.amplitude.exports.clear()
        run = f"run-{days}"
        world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")] * 2
        world.attempt("c1", run=run, wait_for_export=False, ahead=AHEAD)
        world.attempt("c1", run=run, wait_for_export=False)
        world.clock.pass_by(days * DAY)

        world.sync("c1", run=run)

        assert world.amplitude.exports_spent == exports


def test_a_changed_key_names_the_ledger_that_was_written_last_and_not_the_one_of_a_wrong_clock(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1", names={"default": "first"}, ahead=AHEAD)
    world.sync("c1", names={"default": "second"}, on_missing_state="full")

    with pytest.raises(ChangedKeyError) as changed:
        world.attempt("c1", names={"default": "third"})

    assert changed.value.earlier == "second"
