"""A process that dies before any one of its writes loses no change and leaves no false state."""

import contextlib
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, StateUnavailableError

FIRST, THEN = ["ann", "bob", "cat"], ["bob", "cat", "dan"]
TRAIT = "Power Users (c1)"


def killed_world(tmp_path: Path, write: int) -> tuple[World, bool]:
    """A world whose second sync died before its ``write``-th write."""
    world = World(tmp_path)
    world.amplitude.cohort("c1", "Power Users", FIRST)
    world.sync("c1", run="first")
    world.amplitude.cohort("c1", "Power Users", THEN)
    world.store.die_before_write(write)
    try:
        world.attempt("c1", run="killed")
    except Killed:
        world.store.revive()
        return world, True
    world.store.revive()
    return world, False


def test_a_run_killed_before_any_write_goes_on_to_the_same_end(tmp_path: Path) -> None:
    """The retry of the run ends right, with one export, and no change sent under two message IDs."""
    write, killed = 1, True
    while killed:
        world, killed = killed_world(tmp_path / f"own-{write}", write)

        world.sync("c1", run="killed")

        assert world.segment.members(TRAIT) == set(THEN), f"killed before write {write}"
        # One request is spent anew only where the kill fell between it and the saving of its ID, and when the run had
        # ended and forgotten its export.
        assert world.amplitude.exports_spent <= 3
        write += 1
    assert write > 8


def test_another_run_after_a_kill_before_any_write_ends_right_although_users_moved(tmp_path: Path) -> None:
    """After the dead claim has expired, the next sync sends the current value to every user in doubt."""
    write, killed = 1, True
    while killed:
        world, killed = killed_world(tmp_path / f"other-{write}", write)
        world.clock.pass_by(3600)
        world.amplitude.cohort("c1", "Power Users", ["ann", "eve"])

        world.sync("c1", run="other")

        assert world.segment.members(TRAIT) == {"ann", "eve"}, f"killed before write {write}"
        write += 1


@pytest.mark.parametrize("second_kill", range(1, 12))
def test_two_kills_in_a_row_end_right_too(tmp_path: Path, second_kill: int) -> None:
    """Abandoned plans add up: the state of one is folded into the next."""
    for write in range(4, 12):
        world, _ = killed_world(tmp_path / f"twice-{write}", write)
        world.clock.pass_by(3600)
        world.amplitude.cohort("c1", "Power Users", ["ann", "eve"])
        world.store.die_before_write(second_kill)
        with pytest.raises(Killed):
            world.attempt("c1", run="other")
        world.store.revive()
        world.clock.pass_by(3600)
        world.amplitude.cohort("c1", "Power Users", ["bob"])

        world.sync("c1", run="third")

        assert world.segment.members(TRAIT) == {"bob"}, f"killed before writes {write} and {second_kill}"


@pytest.mark.parametrize("requests", [1, 4])
def test_no_more_batches_are_told_twice_after_a_kill_than_were_allowed_in_flight(tmp_path: Path, requests: int) -> None:
    """However fast Segment answers: what it acknowledged and the journal lacks counts as in flight."""
    world = World(tmp_path)
    users = [f"user{number}" for number in range(40_000)]
    world.amplitude.cohort("c1", "Power Users", users)
    batches = itertools.count(1)

    def die_at_the_twelfth(_messages: list[dict[str, Any]]) -> None:
        if next(batches) == 12:
            world.store.is_dead = True
        if world.store.is_dead:
            raise Killed

    world.segment.before_batch = die_at_the_twelfth
    with pytest.raises(Killed):
        world.attempt("c1", run="killed", max_concurrent_requests=requests)
    world.store.revive()
    world.segment.before_batch = lambda _messages: None

    world.sync("c1", run="killed", max_concurrent_requests=requests)

    assert world.segment.members(TRAIT) == set(users)
    assert len(world.segment.times_received) == len(users)
    twice = sum(times - 1 for times in world.segment.times_received.values())
    assert twice <= requests * MAX_BATCH_MESSAGES


def test_a_listing_that_fails_once_after_the_plans_stops_no_other_destination(tmp_path: Path) -> None:
    """One destination is resumed and the other is new; whichever listing fails, one of them is committed."""
    failures = 0
    for number in range(1, 40):
        world = World(tmp_path / f"listing-{number}")
        world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
        world.store.before_write = partial(die_before, world, "dst-second/plan-1.json")
        with pytest.raises(Killed):
            world.attempt("c1", run="daily", keys=("default", "second"))
        world.store.revive()
        world.store.before_write = lambda _name: None
        listings = itertools.count(1)
        world.store.before_listing = partial(fail_once, listings, number)

        with contextlib.suppress(AmplitudeSegmentError):
            world.attempt("c1", run="daily", keys=("default", "second"))

        failed = next(listings) > number
        failures += failed
        if failed and any("dst-second/plan-" in name for name in world.store.objects):
            assert any(part.committed for part in world.report.destinations), f"listing {number}"
    assert failures > 5


def die_before(world: World, ending: str, name: str) -> None:
    if name.endswith(ending):
        world.store.is_dead = True
        raise Killed


def fail_once(listings: Iterator[int], number: int) -> None:
    if next(listings) == number:
        raise StateUnavailableError("memory:", "Input/output error")
