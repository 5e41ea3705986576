"""What a journey downstream receives of the entries and exits of a cohort."""

from pathlib import Path
from typing import Any

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, RejectedUsersError

ENTERED, EXITED = "Cohort Entered", "Cohort Exited"
ON: dict[str, Any] = {"events": "at-most-once"}
AGAIN: dict[str, Any] = {"events": "at-least-once"}
HOUR = 3600.0


def begun(world: World, members: list[str], **settings: Any) -> World:
    world.amplitude.cohort("c1", "Power Users", members)
    world.sync("c1", **(settings or ON))
    return world


def moved(world: World, members: list[str], name: str = "Power Users") -> None:
    world.amplitude.cohort("c1", name, members)


def journeys(world: World, *users: str) -> list[list[str]]:
    return [world.segment.journey(user) for user in users]


def test_an_entry_and_an_exit_are_one_event_each_after_the_identify(world: World) -> None:
    begun(world, ["ann", "bob"])
    moved(world, ["bob", "cat"])

    report = world.sync("c1", **ON).destinations[0]

    assert journeys(world, "ann", "bob", "cat") == [[EXITED], [], [ENTERED]]
    assert (report.events_planned, report.events_acknowledged, report.events_rejected) == (2, 2, 0)
    kinds = [(m["type"], m["userId"]) for body in world.segment.bodies for m in body["batch"]]
    assert kinds[-4:] == [("identify", "ann"), ("identify", "cat"), ("track", "ann"), ("track", "cat")]
    properties = world.segment.journeys["default", "cat"][0][1]
    assert properties == {"cohort_id": "c1", "cohort_name": "Power Users", "trait": "Power Users (c1)"}


def test_a_first_sync_sends_events_only_where_asked(world: World, tmp_path: Path) -> None:
    begun(world, ["ann"])
    asked = begun(World(tmp_path / "asked"), ["ann"], **ON, events_on_first_sync=True)

    assert journeys(world, "ann") == [[]]
    assert journeys(asked, "ann") == [[ENTERED]]


def test_a_full_sync_a_rename_and_a_retirement_send_no_event(world: World) -> None:
    begun(world, ["ann", "bob"])
    moved(world, ["ann"])
    world.sync("c1", sync_mode="full", **ON)
    moved(world, ["ann", "cat"], "Big Spenders")
    world.sync("c1", **ON)
    world.retire("c1")
    world.sync("c1", **ON)

    assert journeys(world, "ann", "bob", "cat") == [[], [], [ENTERED]]


def test_a_roll_back_sends_no_event(world: World) -> None:
    begun(world, ["ann", "bob"])
    moved(world, ["ann"])
    world.sync("c1", **ON)
    stream = Stream("1234", "c1", world.destination())
    scratch = world._scratch / "roll-back"
    scratch.mkdir()
    first = Ledger(world.store, stream.folder).commits()[0]
    roll_back(MaintenancePorts(world.store, world.run_named("by hand"), world.clock, scratch), stream, first)

    world.sync("c1", **ON)

    assert world.segment.members("Power Users (c1)") == {"ann"}
    assert journeys(world, "ann", "bob") == [[], [EXITED]]


def test_a_user_whose_identify_is_rejected_enters_when_it_is_acknowledged(world: World) -> None:
    begun(world, ["ann"])
    moved(world, ["ann", "bob", "cat"])
    world.segment.poisoned = {"bob"}
    with pytest.raises(RejectedUsersError):
        world.attempt("c1", **ON)
    assert journeys(world, "bob", "cat") == [[], [ENTERED]]
    world.segment.poisoned = set()

    world.sync("c1", **ON)
    world.sync("c1", **ON)

    assert journeys(world, "bob", "cat") == [[ENTERED], [ENTERED]]


def test_a_rejected_user_who_leaves_again_neither_enters_nor_exits(world: World) -> None:
    begun(world, ["ann"])
    moved(world, ["ann", "bob"])
    world.segment.poisoned = {"bob"}
    with pytest.raises(RejectedUsersError):
        world.attempt("c1", **ON)
    world.segment.poisoned = set()
    moved(world, ["ann"])

    world.sync("c1", **ON)

    assert journeys(world, "bob") == [[]]


def test_a_rejected_event_is_sent_again_only_where_it_is_sent_at_least_once(world: World, tmp_path: Path) -> None:
    for mode, events in ((ON, [[], [ENTERED]]), (AGAIN, [[ENTERED], [ENTERED]])):
        world = begun(World(tmp_path / mode["events"]), ["ann"], **mode)
        moved(world, ["ann", "bob", "cat"])

        def poison(messages: list[dict[str, Any]], world: World = world) -> None:
            world.segment.poisoned = {"bob"} if messages[0]["type"] == "track" else set()

        world.segment.before_batch = poison
        report = world.sync("c1", **mode).destinations[0]
        assert (report.events_acknowledged, report.events_rejected) == (1, 1)
        world.segment.before_batch = lambda _messages: None
        world.segment.poisoned = set()

        world.sync("c1", **mode)
        world.sync("c1", **mode)

        assert journeys(world, "bob", "cat") == events


def killed(world: World, write: int, mode: dict[str, Any]) -> bool:
    begun(world, ["ann", "bob"], **mode)
    moved(world, ["bob", "cat"])
    world.store.die_before_write(write)
    try:
        world.attempt("c1", run="killed", **mode)
    except Killed:
        return True
    finally:
        world.store.revive()
    return False


@pytest.mark.parametrize("mode", [ON, AGAIN], ids=["once", "again"])
def test_a_retry_after_a_kill_before_any_write_sends_each_event_once(tmp_path: Path, mode: dict[str, Any]) -> None:
    write, was_killed = 1, True
    while was_killed:
        world = World(tmp_path / str(write))
        was_killed = killed(world, write, mode)

        world.sync("c1", run="killed", **mode)

        assert journeys(world, "ann", "bob", "cat") == [[EXITED], [], [ENTERED]], f"killed before write {write}"
        write += 1
    assert write > 10


@pytest.mark.parametrize("mode", [ON, AGAIN], ids=["once", "again"])
def test_another_run_after_a_kill_sends_each_event_as_the_mode_promises(tmp_path: Path, mode: dict[str, Any]) -> None:
    write, was_killed, received = 1, True, set()
    while was_killed:
        world = World(tmp_path / str(write))
        was_killed = killed(world, write, mode)
        world.clock.pass_by(HOUR)

        world.sync("c1", run="other", **mode)
        world.sync("c1", run="third", **mode)

        counts = tuple(len(journey) for journey in journeys(world, "ann", "cat"))
        allowed = {(1, 1), (0, 0)} if mode is ON else {(1, 1), (2, 2)}
        assert counts in allowed, f"killed before write {write}"
        received.add(counts)
        write += 1
    assert received == ({(1, 1)} if mode is ON else {(1, 1), (2, 2)})


def test_an_event_that_may_have_been_sent_before_a_kill_is_sent_again_only_at_least_once(tmp_path: Path) -> None:
    """The process dies after it wrote what it is about to send, and before it sends."""
    for mode, expected in ((ON, [[], []]), (AGAIN, [[EXITED], [ENTERED]])):
        world = begun(World(tmp_path / mode["events"]), ["ann", "bob"], **mode)
        moved(world, ["bob", "cat"])

        def die(messages: list[dict[str, Any]], world: World = world) -> None:
            if messages[0]["type"] == "track":
                world.store.is_dead = True
                raise Killed

        world.segment.before_batch = die
        with pytest.raises(Killed):
            world.attempt("c1", **mode)
        world.store.revive()
        world.segment.before_batch = lambda _messages: None
        world.clock.pass_by(HOUR)

        world.sync("c1", **mode)

        assert journeys(world, "ann", "cat") == expected


def test_a_resumed_plan_older_than_segments_memory_does_not_send_an_event_in_doubt(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    begun(world, ["ann"])
    moved(world, ["ann", "bob"])

    def lose_events(messages: list[dict[str, Any]]) -> None:
        if messages[0]["type"] == "track":
            world.segment.lost = [RetryLater(503, None, "")] * 50

    world.segment.before_batch = lose_events
    with pytest.raises(AmplitudeSegmentError):
        world.attempt("c1", run="late", **ON)
    world.segment.before_batch = lambda _messages: None
    world.segment.lost = []
    world.segment.times_received.clear()
    world.clock.pass_by(25 * HOUR)

    report = world.sync("c1", run="late", **ON).destinations[0]

    assert journeys(world, "bob") == [[ENTERED]]
    assert (report.events_planned, report.events_acknowledged) == (1, 0)
    assert "may have been sent too long ago" in caplog.text


def test_without_events_the_ledger_and_the_wire_have_nothing_of_them(world: World) -> None:
    begun(world, ["ann"], events="off")
    moved(world, ["bob"])
    world.sync("c1")

    assert all(m["type"] == "identify" for body in world.segment.bodies for m in body["batch"])
    names = [name for name in world.store.objects if "/plan-" in name or "/acked-" in name]
    assert names
    assert all(b'"events"' not in world.store.objects[name] for name in names)
