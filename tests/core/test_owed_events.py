"""What a later sync still sends to a journey, after a kill, a rejection, a rename, or another value of ``events``."""

import dataclasses
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.exceptions import (
    RejectedUsersError,
    SegmentUnavailableError,
)

ENTERED, EXITED = "Cohort Entered", "Cohort Exited"
ON: dict[str, Any] = {"events": "at-most-once", "max_exit_ratio": None}
AGAIN: dict[str, Any] = {"events": "at-least-once", "max_exit_ratio": None}
MODES = pytest.mark.parametrize("mode", [ON, AGAIN], ids=["once", "again"])
TRAIT = "Power Users (c1)"
HOUR = 3600.0


def moved(world: World, *members: str, name: str = "Power Users") -> None:
    world.clock.pass_by(HOUR)
    world.amplitude.cohort("c1", name, members)


def synced(world: World, *members: str, name: str = "Power Users", **settings: Any) -> World:
    moved(world, *members, name=name)
    world.sync("c1", **settings)
    return world


def rejected(world: World, *users: str, **settings: Any) -> None:
    world.segment.poisoned = set(users)
    with pytest.raises(RejectedUsersError):
        world.attempt("c1", **settings)
    world.segment.poisoned = set()


def without_segment(world: World, kind: str = "", **settings: Any) -> None:
    """Let a sync find Segment unavailable, for all messages or for those of one kind."""

    def refuse(messages: list[dict[str, Any]]) -> None:
        world.segment.refuses_connections = messages[0]["type"] == kind

    world.segment.before_batch = refuse if kind else lambda _messages: None
    world.segment.refuses_connections = not kind
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", **settings)
    world.segment.before_batch = lambda _messages: None
    world.segment.refuses_connections = False


def killed_before_events(world: World, **settings: Any) -> None:
    """Kill a sync whose identifies are in the journal before it writes, there, which events it is about to send."""
    journals: list[str] = []

    def die(name: str) -> None:
        if name in journals:
            world.store.is_dead = True
            raise Killed
        if "/acked-" in name:
            journals.append(name)

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", **settings)
    world.store.before_write = lambda _name: None
    world.store.revive()


def erased(world: World, scratch: Path, *users: str) -> None:
    scratch.mkdir()
    stream = Stream("1234", "c1", world.destination())
    erase_users(MaintenancePorts(world.store, world.run_named("by hand"), world.clock, scratch), stream, users)


@MODES
def test_an_exit_that_is_owed_when_the_cohort_is_renamed_is_cancelled(world: World, mode: dict[str, Any]) -> None:
    synced(world, "ann", "bob", **mode)
    moved(world, "ann")
    rejected(world, "bob", **mode)
    synced(world, "ann", name="Best", **mode)

    planned = []
    for name in ("Best", "Best", "Power Users", "Power Users"):
        moved(world, "ann", name=name)
        planned.append(world.sync("c1", **mode).destinations[0].planned)

    assert planned == [0, 0, 2, 0]
    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.journey("bob") == []


@MODES
def test_a_rename_after_a_kill_before_any_write_leaves_nothing_to_send_for_ever(
    tmp_path: Path, mode: dict[str, Any]
) -> None:
    write, was_killed = 1, True
    while was_killed:
        world = synced(World(tmp_path / str(write)), "ann", "bob", **mode)
        moved(world, "ann", "cat")
        world.store.die_before_write(write)
        was_killed = False
        try:
            world.attempt("c1", **mode)
        except Killed:
            was_killed = True
        world.store.revive()

        synced(world, "ann", "cat", name="Best", **mode)
        moved(world, "ann", "cat", name="Best")
        planned = world.sync("c1", **mode).destinations[0].planned

        assert planned == 0, f"killed before write {write}"
        events = [len(world.segment.journey(user)) for user in ("ann", "bob", "cat")]
        most = 1 if mode is ON else 2
        assert events[0] == 0, f"killed before write {write}"
        assert max(events) <= most, f"killed before write {write}"
        write += 1
    assert write > 10


@MODES
def test_an_entry_that_is_owed_when_the_cohort_is_renamed_is_one_entry_under_the_new_key(
    world: World, mode: dict[str, Any]
) -> None:
    synced(world, "ann", **mode)
    moved(world, "ann", "bob")
    rejected(world, "bob", **mode)

    for name in ("Best", "Power Users", "Best"):
        synced(world, "ann", "bob", name=name, **mode)

    assert world.segment.journey("bob") == [ENTERED]


@MODES
def test_a_user_in_doubt_has_the_event_of_a_move_that_no_plan_has_wanted_before(
    world: World, mode: dict[str, Any]
) -> None:
    """A full sync wanted the other value, and found Segment unavailable."""
    synced(world, "ann", "bob", **mode)
    synced(world, "ann", "cat", **mode)
    without_segment(world, sync_mode="full", **mode)

    synced(world, "ann", "bob", **mode)

    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert world.segment.journey("bob") == [EXITED, ENTERED]
    assert world.segment.journey("cat") == [ENTERED, EXITED]


@MODES
def test_a_user_in_doubt_has_no_event_of_a_move_that_a_plan_without_events_has_wanted(
    world: World, mode: dict[str, Any]
) -> None:
    synced(world, "ann", "bob", **mode)
    moved(world, "ann", "cat")
    without_segment(world, sync_mode="full", **mode)

    world.sync("c1", **mode)

    assert world.segment.members(TRAIT) == {"ann", "cat"}
    assert [world.segment.journey(user) for user in ("bob", "cat")] == [[], []]


def test_an_exit_under_a_new_trait_key_is_no_second_exit_when_the_earlier_key_is_back(world: World) -> None:
    """The user's ``false`` under the earlier key was never acknowledged, so it is in doubt until then."""
    synced(world, "ann", "bob", **ON)
    moved(world, "ann", "bob", name="Best")

    def poison(messages: list[dict[str, Any]]) -> None:
        of_bob = [m for m in messages if m["userId"] == "bob" and m["type"] == "identify"]
        world.segment.poisoned = {"bob"} if any(TRAIT in m["traits"] for m in of_bob) else set()

    world.segment.before_batch = poison
    for members in (("ann", "bob"), ("ann",)):
        moved(world, *members, name="Best")
        with pytest.raises(RejectedUsersError):
            world.attempt("c1", **ON)
    world.segment.before_batch = lambda _messages: None
    world.segment.poisoned = set()
    assert world.segment.journey("bob") == [EXITED]

    synced(world, "ann", **ON)

    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.journey("bob") == [EXITED]


def test_without_events_before_a_user_in_doubt_has_no_event(world: World) -> None:
    synced(world, "ann", "bob")
    moved(world, "ann")
    without_segment(world, max_exit_ratio=None)

    world.sync("c1", **ON)

    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.journey("bob") == []


def test_what_may_have_been_sent_at_least_once_is_not_sent_again_at_most_once(world: World) -> None:
    synced(world, "ann", **AGAIN)
    moved(world, "ann", "bob", "cat", "dan")

    def lose(messages: list[dict[str, Any]]) -> None:
        if messages[0]["type"] == "track":
            world.segment.lost = [RetryLater(503, None, "")] * 50

    world.segment.before_batch = lose
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", **AGAIN)
    world.segment.before_batch = lambda _messages: None
    world.segment.lost = []

    moved(world, "ann", "bob", "cat")
    first = world.sync("c1", **ON).destinations[0]
    # bob enters the renamed cohort, and has not entered anew.
    moved(world, "ann", "bob", "cat", name="Best")
    renamed = world.sync("c1", **ON).destinations[0]
    synced(world, "ann", "bob", name="Best", **ON)

    assert [world.segment.journey(user) for user in ("bob", "cat", "dan")] == [
        [ENTERED],
        [ENTERED, EXITED],
        [ENTERED, EXITED],
    ]
    assert (first.planned, first.events_planned, renamed.events_planned) == (1, 1, 0)


def test_what_was_certainly_not_sent_at_least_once_is_sent_at_most_once(world: World) -> None:
    synced(world, "ann", **AGAIN)
    moved(world, "ann", "bob")
    without_segment(world, **AGAIN)
    synced(world, "ann", "bob", **ON)
    moved(world, "ann", "bob", "cat")
    rejected(world, "cat", **AGAIN)

    synced(world, "ann", "bob", "cat", **ON)

    assert [world.segment.journey(user) for user in ("bob", "cat")] == [[ENTERED], [ENTERED]]


@pytest.mark.parametrize("earlier", [ON, {"events": "off"}], ids=["on", "off"])
def test_a_first_sync_has_no_event_also_after_tries_that_were_abandoned(world: World, earlier: dict[str, Any]) -> None:
    for _ in range(3):
        moved(world, "ann")
        without_segment(world, **earlier)

    synced(world, "ann", "bob", **ON)
    synced(world, "ann", "bob", "cat", **ON)

    assert [world.segment.journey(user) for user in ("ann", "bob", "cat")] == [[], [], [ENTERED]]


@pytest.mark.parametrize("is_ended", [False, True])
def test_the_first_sync_after_a_retirement_has_no_event_also_after_tries_that_were_abandoned(
    world: World, *, is_ended: bool
) -> None:
    synced(world, "ann", **ON)
    if is_ended:
        world.retire("c1")
    else:
        world.segment.refuses_connections = True
        with pytest.raises(SegmentUnavailableError):
            world.retire("c1")
        world.segment.refuses_connections = False
    for _ in range(2):
        moved(world, "ann")
        without_segment(world, **ON)

    synced(world, "ann", "bob", **ON)
    synced(world, "ann", "bob", "cat", **ON)

    assert [world.segment.journey(user) for user in ("ann", "bob", "cat")] == [[], [], [ENTERED]]


def test_a_user_who_is_erased_while_a_member_enters_anew(tmp_path: Path) -> None:

    world = synced(World(tmp_path / "world"), "ann", **ON)
    synced(world, "ann", "bob", **ON)
    erased(world, tmp_path / "scratch", "bob")

    synced(world, "ann", "bob", **ON)

    assert world.segment.journey("bob") == [ENTERED, ENTERED]


def without_column(world: World, scratch: Path, column: str) -> None:
    """Write the newest snapshot and its commit again, as an earlier version did without the column."""
    ledger = Ledger(world.store, Stream("1234", "c1", world.destination()).folder)
    commit = ledger.commit(ledger.commits()[-1])
    scratch.mkdir()
    state, earlier = ledger.load_file(commit.snapshot, scratch / "state.parquet"), scratch / "earlier.parquet"
    with open_engine(scratch) as engine:
        engine.execute(write_parquet(f"SELECT * EXCLUDE ({column}) FROM {parquet_rows(state)}", earlier))
    stored = dataclasses.asdict(ledger.store_file(commit.snapshot.name, earlier))
    name = f"{ledger.folder}/commit-{commit.generation}.json"
    world.store.objects[name] = json.dumps({**json.loads(world.store.objects[name]), "snapshot": stored}).encode()


def test_what_a_state_of_an_earlier_version_owes_is_sent_and_its_other_users_in_doubt_have_no_event(
    tmp_path: Path,
) -> None:
    world = synced(World(tmp_path / "world"), "ann", "bob", **ON)
    moved(world, "ann", "bob", "cat", "dan")
    rejected(world, "cat", **ON, sync_mode="full")
    moved(world, "ann", "bob", "cat", "dan", "eve")
    rejected(world, "cat", "eve", **ON)
    without_column(world, tmp_path / "scratch", "event_spent")

    synced(world, "ann", "cat", "dan", "eve", **ON)

    assert world.segment.members(TRAIT) == {"ann", "cat", "dan", "eve"}
    assert [world.segment.journey(user) for user in ("cat", "dan", "eve")] == [[], [], [ENTERED]]


@pytest.mark.parametrize("earlier", [ON, {"events": "off"}], ids=["on", "off"])
@pytest.mark.parametrize("is_retired", [False, True])
def test_a_first_sync_has_no_event_also_after_an_erasure(
    tmp_path: Path, earlier: dict[str, Any], *, is_retired: bool
) -> None:
    world = World(tmp_path / "world")
    if is_retired:
        synced(world, "eve", **ON).retire("c1")
    moved(world, "ann", "bob")
    without_segment(world, **earlier)
    erased(world, tmp_path / "first", "bob")
    moved(world, "ann", "bob")
    without_segment(world, **earlier)
    erased(world, tmp_path / "second", "bob")

    synced(world, "ann", "dan", **ON)
    synced(world, "ann", "cat", "dan", **ON)

    assert [world.segment.journey(user) for user in ("ann", "bob", "dan", "cat")] == [[], [], [], [ENTERED]]


def test_an_erasure_after_a_sync_has_ended_makes_no_sync_a_first_one(tmp_path: Path) -> None:
    world = synced(World(tmp_path / "world"), "ann", **ON)
    moved(world, "ann", "bob", "cat")
    without_segment(world, **ON)
    erased(world, tmp_path / "scratch", "bob")
    commits = [content for name, content in world.store.objects.items() if "/commit-" in name]

    synced(world, "ann", "cat", **ON)

    assert world.segment.journey("cat") == [ENTERED]
    assert all(b"follows_no_sync" not in content for content in commits)


@pytest.mark.parametrize("is_retired", [False, True])
def test_a_first_sync_has_no_event_also_after_plans_of_an_earlier_version(world: World, *, is_retired: bool) -> None:
    if is_retired:
        synced(world, "eve", **ON).retire("c1")
    for _ in range(2):
        moved(world, "ann")
        without_segment(world, **ON)
        for name in [name for name in world.store.objects if "/plan-" in name]:
            plan = json.loads(world.store.objects[name])
            plan["events"].pop("is_first_sync", None)
            world.store.objects[name] = json.dumps(plan).encode()

    synced(world, "ann", "bob", **ON)
    synced(world, "ann", "bob", "cat", **ON)

    assert [world.segment.journey(user) for user in ("ann", "bob", "cat")] == [[], [], [ENTERED]]


@pytest.mark.parametrize("mode", [ON, {**ON, "sync_mode": "full"}], ids=["incremental", "full"])
def test_an_exit_that_was_not_sent_is_sent_when_the_return_was_not_acknowledged(
    world: World, mode: dict[str, Any]
) -> None:
    synced(world, "ann", **ON)
    synced(world, "ann", "bob", **ON)
    moved(world, "ann")
    killed_before_events(world, **ON)
    for _ in range(2):
        moved(world, "ann", "bob")
        without_segment(world, **mode)
        moved(world, "ann")
        without_segment(world, **ON)
    moved(world, "ann", "bob")
    without_segment(world, **mode)

    synced(world, "ann", **ON)
    moved(world, "ann")
    planned = world.sync("c1", **ON).destinations[0].planned
    synced(world, "ann", "bob", **ON)

    assert planned == 0
    assert world.segment.journey("bob") == [ENTERED, EXITED, ENTERED]


@pytest.mark.parametrize("mode", [ON, {**ON, "sync_mode": "full"}], ids=["incremental", "full"])
def test_an_entry_that_was_not_sent_is_sent_when_the_exit_was_not_acknowledged(
    world: World, mode: dict[str, Any]
) -> None:
    synced(world, "ann", **ON)
    moved(world, "ann", "bob")
    killed_before_events(world, **ON)
    for _ in range(2):
        moved(world, "ann")
        without_segment(world, **mode)
        moved(world, "ann", "bob")
        without_segment(world, **ON)
    moved(world, "ann")
    without_segment(world, **mode)

    synced(world, "ann", "bob", **ON)
    moved(world, "ann", "bob")
    planned = world.sync("c1", **ON).destinations[0].planned
    synced(world, "ann", **ON)

    assert planned == 0
    assert world.segment.journey("bob") == [ENTERED, EXITED]


def test_a_return_that_is_acknowledged_later_cancels_the_exit_that_was_not_sent(world: World) -> None:
    synced(world, "ann", **ON)
    synced(world, "ann", "bob", **ON)
    moved(world, "ann")
    killed_before_events(world, **ON)
    moved(world, "ann", "bob")
    rejected(world, "bob", **ON)

    synced(world, "ann", "bob", **ON)
    moved(world, "ann", "bob")
    planned = world.sync("c1", **ON).destinations[0].planned
    synced(world, "ann", **ON)

    assert planned == 0
    assert world.segment.journey("bob") == [ENTERED, EXITED]


def test_an_exit_that_may_have_been_sent_at_least_once_is_not_sent_after_a_full_that_was_not_acknowledged(
    world: World,
) -> None:
    synced(world, "ann", **AGAIN)
    synced(world, "ann", "bob", **AGAIN)
    moved(world, "ann")

    def lose(messages: list[dict[str, Any]]) -> None:
        if messages[0]["type"] == "track":
            world.segment.lost = [RetryLater(503, None, "")] * 50

    world.segment.before_batch = lose
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", **AGAIN)
    world.segment.before_batch = lambda _messages: None
    world.segment.lost = []
    moved(world, "ann", "bob")
    without_segment(world, **ON, sync_mode="full")

    synced(world, "ann", **ON)

    assert world.segment.journey("bob") == [ENTERED, EXITED]


def test_after_a_kill_before_any_write_and_a_return_that_was_not_acknowledged_events_alternate(tmp_path: Path) -> None:
    write, was_killed = 1, True
    while was_killed:
        world = synced(World(tmp_path / str(write)), "ann", **ON)
        synced(world, "ann", "bob", **ON)
        moved(world, "ann")
        world.store.die_before_write(write)
        was_killed = False
        try:
            world.attempt("c1", **ON)
        except Killed:
            was_killed = True
        world.store.revive()
        moved(world, "ann", "bob")
        world.segment.refuses_connections = True
        # Before its plan is written, nothing has changed, and there is nothing to send.
        with suppress(SegmentUnavailableError):
            world.attempt("c1", **ON)
        world.segment.refuses_connections = False

        synced(world, "ann", **ON)
        synced(world, "ann", "bob", **ON)

        assert world.segment.journey("bob") == [ENTERED, EXITED, ENTERED], f"killed before write {write}"
        write += 1
    assert write > 10
