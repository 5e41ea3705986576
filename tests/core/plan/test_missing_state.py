"""Lost state is never taken for a first sync."""

from pathlib import Path

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import (
    ChangedKeyError,
    EmptyCohortError,
    LedgerDamagedError,
    MissingStateError,
    SegmentUnavailableError,
)

TRAIT = "Power Users (c1)"
FOLDER = "1234/c1/dst-default"


def synced_world(world: World, times: int = 2) -> World:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    for _ in range(times):
        world.sync("c1")
    return world


def remove_objects(world: World, *names: str) -> None:
    for name in list(world.store.objects):
        if not names or name.rsplit("/", 1)[-1] in names:
            del world.store.objects[name]


def test_an_empty_ledger_where_a_sync_is_remembered_is_refused_before_an_export_is_spent(world: World) -> None:
    synced_world(world)
    remove_objects(world)

    with pytest.raises(MissingStateError, match=r"recorded sync 2 .*, but the ledger .* is empty") as refused:
        world.attempt("c1", recorded={"dst-default": 2})

    assert world.amplitude.exports_spent == 2
    assert refused.value.run_configuration == {"on_missing_state": "full"}
    assert not refused.value.retryable


def test_a_ledger_from_an_older_backup_is_refused(world: World) -> None:
    synced_world(world, times=3)
    remove_objects(world, "plan-3.json", "commit-3.json", "current.json")

    with pytest.raises(MissingStateError, match="ends at sync 2"):
        world.attempt("c1", recorded={"dst-default": 3})


def test_the_hint_tells_of_a_commit_that_is_gone_where_airflow_remembers_nothing(world: World) -> None:
    synced_world(world, times=3)
    remove_objects(world, "plan-3.json", "commit-3.json")

    with pytest.raises(MissingStateError, match="recorded sync 3 "):
        world.attempt("c1")


def test_full_tells_everyone_who_is_known_anew_and_counts_on_from_what_is_remembered(world: World) -> None:
    synced_world(world, times=1)
    world.amplitude.cohort("c1", "Power Users", ["bob", "cat"])
    world.sync("c1")
    remove_objects(world, "plan-2.json", "commit-2.json", "current.json")

    report = world.sync("c1", recorded={"dst-default": 2}, on_missing_state="full")

    destination = report.destinations[0]
    assert (destination.mode, destination.planned, destination.committed) == ("full", 3, True)
    assert world.segment.members(TRAIT) == {"bob", "cat"}
    assert destination.generation is not None
    assert destination.generation > 2
    world.sync("c1", recorded={"dst-default": destination.generation})


def test_full_begins_above_what_is_remembered_so_that_the_next_sync_is_let_through(world: World) -> None:
    synced_world(world, times=3)
    remove_objects(world)

    report = world.sync("c1", recorded={"dst-default": 3}, on_missing_state="full")

    assert report.destinations[0].generation == 4
    assert world.sync("c1", recorded={"dst-default": 4}).destinations[0].planned == 0


def test_a_full_sync_after_a_loss_that_dies_goes_on_with_its_plan(world: World) -> None:
    synced_world(world)
    remove_objects(world, "plan-2.json", "commit-2.json", "plan-1.json", "commit-1.json")
    writes: list[str] = []

    def die(name: str) -> None:
        if "commit-" in name:
            world.store.is_dead = True
            raise Killed
        writes.append(name)

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", run="a", on_missing_state="full")
    world.store.revive()
    world.store.before_write = lambda _name: None

    world.sync("c1", run="a", on_missing_state="full")

    # No change was sent under a second message ID, and the old hint does not keep another run out.
    assert set(world.segment.times_received.values()) == {1}
    assert len(world.segment.times_received) == 2 + 2
    world.sync("c1")


def test_a_resumed_plan_of_a_full_sync_lets_the_next_run_in_though_the_try_before_died_first(world: World) -> None:
    """The try before was killed between the plan and ``current.json``, and Segment is down in this one."""
    synced_world(world)
    remove_objects(world, "plan-2.json", "commit-2.json", "plan-1.json", "commit-1.json")

    def die(name: str) -> None:
        if name.endswith("current.json"):
            world.store.is_dead = True
            raise Killed

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", run="a", on_missing_state="full")
    world.store.revive()
    world.store.before_write = lambda _name: None
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a", on_missing_state="full")
    world.segment.refuses_connections = False

    assert world.sync("c1", run="b").destinations[0].committed


def lost_third(world: World) -> None:
    """The third commit, with bob false, is gone; only the hint records it, and bob is a member again."""
    synced_world(world)
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    remove_objects(world, "plan-3.json", "commit-3.json")
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])


def test_a_run_without_full_goes_on_once_the_plan_of_a_full_one_stands(world: World) -> None:
    lost_third(world)

    def die(name: str) -> None:
        if "commit-" in name:
            raise Killed

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", run="a", on_missing_state="full")
    world.store.before_write = lambda _name: None
    world.clock.pass_by(3600)

    world.sync("c1", run="b")

    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_full_stays_full_over_a_deferral(world: World) -> None:
    lost_third(world)
    world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]
    world.attempt("c1", run="a", wait_for_export=False, on_missing_state="full")

    report = world.sync("c1", run="a", on_missing_state="full")

    assert report.destinations[0].mode == "full"
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_a_full_sync_that_a_guard_refused_leaves_the_loss_remembered(world: World) -> None:
    lost_third(world)
    world.amplitude.cohort("c1", "Power Users", [])
    with pytest.raises(EmptyCohortError):
        world.attempt("c1", on_missing_state="full")
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])

    with pytest.raises(MissingStateError):
        world.attempt("c1")


def test_neither_an_erasure_nor_going_back_makes_the_loss_forgotten(world: World, tmp_path: Path) -> None:
    lost_third(world)
    (stream,) = find_streams(world.store)
    for number, correct in enumerate(
        (
            lambda scratch: erase_users(
                MaintenancePorts(world.store, world.run_named("x"), world.clock, scratch), stream, ["ann"]
            ),
            lambda scratch: roll_back(
                MaintenancePorts(world.store, world.run_named("y"), world.clock, scratch), stream, 1
            ),
        )
    ):
        kept = dict(world.store.objects)
        (tmp_path / f"{number}").mkdir()
        correct(tmp_path / f"{number}")
        for recorded in ({"dst-default": 3}, {}):
            with pytest.raises(MissingStateError):
                world.attempt("c1", recorded=recorded)
        world.store.objects = kept
        world.clock.pass_by(3600)


def test_after_an_erasure_what_airflow_remembers_is_still_known(world: World, tmp_path: Path) -> None:
    synced_world(world)
    (stream,) = find_streams(world.store)
    erase_users(MaintenancePorts(world.store, world.run_named("x"), world.clock, tmp_path), stream, ["ann"])

    assert world.sync("c1", recorded={"dst-default": 2}).destinations[0].committed


def test_a_claim_that_was_taken_away_by_hand_does_not_let_numbers_be_used_again(world: World) -> None:
    synced_world(world, times=8)
    remove_objects(world, "claim-8.json", "current.json")
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    assert world.sync("c1").destinations[0].generation == 9
    assert world.segment.members(TRAIT) == {"ann"}


def test_a_dry_run_on_lost_state_warns_and_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    synced_world(world)
    remove_objects(world, "plan-2.json", "commit-2.json", "plan-1.json", "commit-1.json")

    world.sync("c1", dry_run=True)

    assert "would be refused" in caplog.text
    with pytest.raises(MissingStateError):
        world.attempt("c1")


def test_a_changed_key_is_told_from_a_first_sync(world: World) -> None:
    synced_world(world)

    with pytest.raises(ChangedKeyError, match="'dst-default'; now it is 'other'") as refused:
        world.attempt("c1", names={"default": "other"})

    assert (refused.value.earlier, refused.value.destination) == ("dst-default", "other")
    assert refused.value.run_configuration == {"on_missing_state": "full"}
    assert world.amplitude.exports_spent == 2
    # The way out for the same source: its old name.
    assert world.sync("c1", names={"default": "dst-default"}).destinations[0].planned == 0


def test_a_changed_key_of_another_source_is_told_everyone_once_let_through(world: World) -> None:
    synced_world(world)

    report = world.sync("c1", names={"default": "other"}, on_missing_state="full")

    assert report.destinations[0].planned == 2
    assert world.sync("c1", names={"default": "other"}).destinations[0].planned == 0


def test_a_changed_key_is_found_under_the_same_routing_only(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    routing = {"All": False, "Braze": True}
    world.sync("c1", integrations=routing)

    # Another routing is another destination, not a changed key.
    world.sync("c1")
    with pytest.raises(ChangedKeyError, match="'dst-default'; now it is 'other'"):
        world.attempt("c1", integrations=routing, names={"default": "other"})


def test_a_neighbour_of_another_connection_is_no_changed_key(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1", keys=("emea",))

    assert world.sync("c1").destinations[0].planned == 1


def test_a_neighbour_that_nobody_can_read_is_named_and_not_passed_over(world: World) -> None:
    synced_world(world, times=1)
    for name in ("plan-1.json", "commit-1.json"):
        world.store.objects[f"{FOLDER}/{name}"] = b"{"

    with pytest.raises(LedgerDamagedError, match="dst-default"):
        world.attempt("c1", names={"default": "other"})
    assert world.sync("c1", names={"default": "other"}, on_missing_state="full").destinations[0].planned == 2


def test_a_neighbour_whose_newest_entry_is_damaged_is_known_by_an_older_one(world: World) -> None:
    synced_world(world)
    world.store.objects[f"{FOLDER}/commit-2.json"] = b"{"

    with pytest.raises(ChangedKeyError):
        world.attempt("c1", names={"default": "other"})


def test_an_unreadable_hint_is_no_reason_to_refuse(world: World) -> None:
    synced_world(world)
    world.store.objects[f"{FOLDER}/current.json"] = b'{"gener'

    assert world.sync("c1").destinations[0].committed
