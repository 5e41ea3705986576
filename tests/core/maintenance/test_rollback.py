"""A rollback to an earlier commit: every later change is in doubt, and the next sync sends it again."""

from pathlib import Path

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.clock import later_timestamp
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.engine_file import write_parquet
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.maintenance.discovery import FoundStream, find_streams
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import RollbackResult, roll_back
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, CommitNotKeptError, SegmentUnavailableError

TRAIT = "Power Users (c1)"
FOLDER = "1234/c1/dst-default"


def stream_of(world: World) -> FoundStream:
    (stream,) = find_streams(world.store)
    return stream


def back(world: World, to: int, scratch: Path) -> RollbackResult:
    scratch = scratch / f"back-{to}"
    scratch.mkdir()
    try:
        return roll_back(
            MaintenancePorts(world.store, world.run_named("a person"), world.clock, scratch), stream_of(world), to
        )
    finally:
        world.clock.pass_by(60)


def sync_of(world: World, *users: str) -> None:
    world.amplitude.cohort("c1", "Power Users", users)
    world.sync("c1", max_exit_ratio=None, on_empty_cohort="sync")


def test_after_going_back_segment_believes_the_cohort_although_it_lost_everything_since(
    world: World, tmp_path: Path
) -> None:
    sync_of(world, "ann", "bob")
    before = world.segment.identifies
    sync_of(world, "bob", "cat")
    sync_of(world, "ann", "cat")
    world.segment.forget_after(before)
    assert world.segment.members(TRAIT) == {"ann", "bob"}

    rolled_back = back(world, 1, tmp_path)

    # ann left and came back, bob left, cat entered: all three have later changes.
    assert (rolled_back.pairs, rolled_back.in_doubt) == (3, 3)
    sync_of(world, "ann", "cat")
    assert world.segment.members(TRAIT) == {"ann", "cat"}
    assert world.segment.former(TRAIT) == {"bob"}


def test_who_was_told_nothing_since_is_not_told_again(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann", "bob")
    sync_of(world, "ann", "bob", "cat")

    assert back(world, 1, tmp_path).in_doubt == 1

    sync_of(world, "ann", "bob", "cat")
    assert world.report.destinations[0].planned == 1
    assert world.report.destinations[0].in_doubt == 1


def test_a_plan_that_was_not_told_to_its_end_is_in_doubt_too(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann")
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="b")
    world.segment.refuses_connections = False

    assert back(world, 1, tmp_path).in_doubt == 1

    sync_of(world, "ann", "bob")
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_a_damaged_snapshot_is_gone_back_from_and_everyone_is_in_doubt(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann", "bob")
    sync_of(world, "bob", "cat")
    world.store.objects[f"{FOLDER}/snapshot-2-2.parquet"] = b"half of it"

    rolled_back = back(world, 1, tmp_path)

    # cat is known from the plan.
    assert rolled_back.in_doubt == rolled_back.pairs == 3
    sync_of(world, "bob", "cat")
    assert world.segment.members(TRAIT) == {"bob", "cat"}


def test_messages_after_going_back_are_later_than_all_before(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann")
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.sync("c1", ahead=200.0)

    back(world, 1, tmp_path)
    sync_of(world, "ann")

    assert world.segment.members(TRAIT) == {"ann"}


def test_the_run_that_was_at_work_asks_for_an_export_anew(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann")
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="b")
    world.segment.refuses_connections = False
    back(world, 1, tmp_path)
    world.amplitude.cohort("c1", "Power Users", ["cat"])

    world.sync("c1", run="b", max_exit_ratio=None)

    assert world.segment.members(TRAIT) == {"cat"}


def test_a_million_users_are_rolled_back_in_the_memory_that_the_engine_has(world: World, tmp_path: Path) -> None:
    ledger = Ledger(world.store, FOLDER)
    with open_engine(tmp_path) as engine:
        for number in range(1, 5):
            rows = f"""SELECT '{TRAIT}' AS trait, md5(i::VARCHAR) AS user_id, true AS delivered, false AS in_doubt,
                       0 AS rejections
                FROM range({number * 25_000}, {number * 25_000 + 1_000_000}) users(i)"""
            engine.execute(write_parquet(rows, tmp_path / "state.parquet"))
            snapshot = ledger.store_file(f"snapshot-{number}-{number}.parquet", tmp_path / "state.parquet")
            time = world.clock.now()
            ledger.write_commit(
                Commit(number, number, "run", "", TRAIT, later_timestamp(time, None), snapshot, "", "", "", {}, number)
            )

    rolled_back = back(world, 1, tmp_path)

    assert (rolled_back.pairs, rolled_back.in_doubt) == (1_075_000, 75_000)


def test_no_ledger_is_rolled_back_while_a_sync_is_at_work(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann")
    sync_of(world, "bob")
    take_claim(world.store, stream_of(world), world.run_named("b"), world.clock.now())

    with pytest.raises(ClaimHeldError, match="run 'b'"):
        back(world, 1, tmp_path)


@pytest.mark.parametrize("to", [0, 2, 7])
def test_a_commit_that_is_not_kept_or_is_the_newest_is_refused(world: World, tmp_path: Path, to: int) -> None:
    sync_of(world, "ann")
    sync_of(world, "bob")

    with pytest.raises(CommitNotKeptError, match=r"Nothing was changed\. Choose one of its commits: 1\."):
        back(world, to, tmp_path)


def test_who_is_named_only_by_a_later_plan_is_told_false_again(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann")
    sync_of(world, "ann", "bob")
    world.store.objects[f"{FOLDER}/snapshot-2-2.parquet"] = b"half of it"

    rolled_back = back(world, 1, tmp_path)

    assert (rolled_back.pairs, rolled_back.in_doubt, rolled_back.all_known) == (2, 2, False)
    sync_of(world, "ann")
    assert world.segment.members(TRAIT) == {"ann"}


def test_who_was_told_only_by_a_plan_that_was_given_up_is_told_again(world: World, tmp_path: Path) -> None:
    sync_of(world, "ann", "bob")
    world.amplitude.cohort("c1", "Power Users", ["bob"])

    def die(name: str) -> None:
        if "commit-" in name:
            raise Killed

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c1", run="killed", max_exit_ratio=None)
    world.store.before_write = lambda _name: None
    before = world.segment.identifies
    world.clock.pass_by(3600)
    sync_of(world, "ann", "bob")
    world.segment.forget_after(before)
    assert world.segment.members(TRAIT) == {"bob"}

    back(world, 1, tmp_path)

    sync_of(world, "ann", "bob")
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_properties_told_since_are_told_again_or_taken_back(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.amplitude.properties = {"ann": {"plan": "free"}, "bob": {"plan": "free"}}
    world.sync("c1", user_properties=("plan", "town"))
    world.amplitude.properties = {"ann": {"plan": "pro", "town": "Oslo"}, "bob": {"plan": "free"}}
    world.sync("c1", user_properties=("plan", "town"))
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "pro", "town": "Oslo"}

    assert back(world, 1, tmp_path).in_doubt == 1

    world.amplitude.properties["ann"] = {"plan": "free"}
    world.sync("c1", user_properties=("plan", "town"))
    assert world.segment.traits("ann") == {TRAIT: True, "plan": "free", "town": None}
    assert world.report.destinations[0].planned == 1
