"""A retirement: every user with ``true`` is sent ``false``, and no file names them afterwards."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from fakes import Killed, World
from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.response import CredentialsRejected, no_response
from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import MARKER, mark_state_path
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    ClaimLostError,
    LedgerNotFoundError,
    MissingStateError,
    RejectedUsersError,
    SegmentRefusedError,
    SegmentUnavailableError,
    SettingError,
)

TRAIT = "Power Users (c1)"
EVERYONE = {"ann@x", "bob@x", "cat@x", "dan@x"}
"""The users with a value in ``synced_world``."""


@cache
def history(keys: tuple[str, ...]) -> World:
    """A cohort that was synced twice, dry, under two names, and with one rejected user; made once."""
    with TemporaryDirectory() as scratch:
        world = World(Path(scratch))
        world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x", "cat@x"])
        world.sync("c1", keys=keys)
        world.amplitude.cohort("c1", "Power Users", ["bob@x", "cat@x"])
        world.sync("c1", keys=keys)
        world.amplitude.cohort("c1", "Heavy Users", ["bob@x", "dan@x"])
        world.segment.poisoned.add("dan@x")
        world.sync("c1", keys=keys, on_rejected="warn")
        world.sync("c1", keys=keys, dry_run=True)
        return world


def synced_world(scratch: Path, keys: tuple[str, ...] = ("default",)) -> World:
    """The world after that history, in which the cohort is deleted in Amplitude."""
    source, world = history(keys), World(scratch)
    world.clock.seconds, world.random_source.tokens = source.clock.seconds, source.random_source.tokens
    world.store.objects = dict(source.store.objects)
    world.segment.bodies = list(source.segment.bodies)
    world.segment.times_received = dict(source.segment.times_received)
    world.segment._values = dict(source.segment._values)
    return world


def believed(world: World, key: str = "default") -> set[str]:
    """Whom Segment holds as a member under any of the cohort's keys."""
    return world.segment.members(TRAIT, key) | world.segment.members("Heavy Users (c1)", key)


def naming(world: World, scratch: Path) -> dict[str, set[str]]:
    """Which objects of the store name whom, Parquet or not."""
    found = {}
    for name, content in world.store.objects.items():
        text = content
        if content.startswith(b"PAR1"):
            file = scratch / "look.parquet"
            file.write_bytes(content)
            text = repr(duckdb.sql(f"FROM read_parquet('{file}')").fetchall()).encode()
        if named := {user for user in EVERYONE if user.encode() in text}:
            found[name] = named
    return found


def test_everyone_ever_told_is_told_false_under_every_key_and_nothing_names_them(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    assert believed(world) == {"bob@x"}
    assert len(naming(world, tmp_path)) > 5

    report = world.retire("c1")

    assert believed(world) == set()
    assert world.segment.former(TRAIT) == {"ann@x", "bob@x", "cat@x"}
    assert world.segment.former("Heavy Users (c1)") == {"bob@x", "dan@x"}
    assert naming(world, tmp_path) == {}
    (part,) = report.destinations
    assert (part.mode, part.planned, part.acknowledged, part.committed) == ("retire", 5, 5, True)
    assert (part.exited, part.in_doubt) == (1, 1)


def test_a_cohort_that_amplitude_still_lists_is_retired_without_asking_it(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")

    world.retire("c1")

    assert world.amplitude.exports_spent == 1
    assert world.segment.members(TRAIT) == set()


def test_a_second_retirement_tells_nobody_and_succeeds(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    first = world.retire("c1").destinations[0]
    identifies = world.segment.identifies

    part = world.retire("c1", recorded={"dst-default": first.generation or 0}).destinations[0]

    assert world.segment.identifies == identifies
    assert (part.mode, part.planned, part.pending, part.committed, part.error) == ("retire", 0, 0, True, None)


def test_the_next_sync_is_a_first_one_although_airflow_remembers_those_before(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    world.retire("c1")

    world.amplitude.cohort("c1", "Heavy Users", ["ann@x", "bob@x"])
    # The third sync left its generation.
    part = world.sync("c1", recorded={"dst-default": 3}).destinations[0]

    assert (part.entered, part.exited, part.unchanged, part.planned) == (2, 0, 0, 2)
    assert world.segment.members("Heavy Users (c1)") == {"ann@x", "bob@x"}


def test_a_dry_run_counts_and_lists_and_neither_tells_nor_forgets(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    named, identifies = naming(world, tmp_path), world.segment.identifies

    (part,) = world.retire("c1", run="dry", dry_run=True).destinations

    assert world.segment.identifies == identifies
    assert (part.planned, part.pending, part.committed) == (5, 5, False)
    (listed,) = set(naming(world, tmp_path)) - set(named)
    assert part.planned_changes == f"memory:{listed}"
    assert world.store.objects[listed].decode().splitlines()[0] == "trait,user_id,value"
    assert world.retire("c1", dry_run=True).destinations[0].planned == 5


def test_a_retirement_killed_before_any_write_is_finished_by_its_retry(tmp_path: Path) -> None:
    write, killed = 1, True
    while killed:
        folder = tmp_path / f"own-{write}"
        world = synced_world(folder)
        world.store.die_before_write(write)
        try:
            world.retire("c1", run="retire")
            killed = False
        except Killed:
            pass
        world.store.revive()

        world.retire("c1", run="retire")

        assert believed(world) == set(), f"killed before write {write}"
        assert naming(world, folder) == {}, f"killed before write {write}"
        # The retry resumes what the killed try journaled, under the same message IDs.
        assert len(world.segment.times_received) == world.segment.identifies - _twice(world)
        write += 1
    assert write > 20


def _twice(world: World) -> int:
    return sum(times - 1 for times in world.segment.times_received.values())


def test_a_sync_after_a_kill_before_any_write_ends_right(tmp_path: Path) -> None:
    """The cohort was restored in Amplitude meanwhile: its members are sent ``true``, all others ``false``."""
    write, killed = 1, True
    while killed:
        world = synced_world(tmp_path / f"other-{write}")
        world.store.die_before_write(write)
        try:
            world.retire("c1", run="retire")
            killed = False
        except Killed:
            pass
        world.store.revive()
        world.clock.pass_by(3600)
        world.amplitude.cohort("c1", "Heavy Users", ["ann@x", "bob@x"])

        world.sync("c1", max_exit_ratio=None)

        assert world.segment.members("Heavy Users (c1)") == {"ann@x", "bob@x"}, f"killed before write {write}"
        assert world.segment.members(TRAIT) == set(), f"killed before write {write}"
        write += 1


def test_another_retirement_after_a_killed_one_leaves_nothing_that_names_anybody(tmp_path: Path) -> None:
    """Whatever the dead claim's owner had written, also beside the place, goes."""
    write, killed = 1, True
    while killed:
        folder = tmp_path / f"new-{write}"
        world = synced_world(folder)
        ledger = find_streams(world.store)[0].folder
        world.store.objects[f"{ledger}/.changes-2.parquet.0123456789abcdef"] = b"PAR1 half of ann@x"
        world.store.die_before_write(write)
        try:
            world.retire("c1", run="retire")
            killed = False
        except Killed:
            world.clock.pass_by(3600)
        world.store.revive()

        world.retire("c1", run="other")

        assert believed(world) == set(), f"killed before write {write}"
        # A process was killed while it renamed this file; it cannot be read, and is deleted as well.
        assert [name for name in world.store.objects if "/." in name] == []
        assert naming(world, folder) == {}, f"killed before write {write}"
        write += 1


def test_users_whom_segment_refuses_stay_known_and_nobody_else_does(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    world.segment.poisoned.add("bob@x")

    with pytest.raises(RejectedUsersError):
        world.retire("c1")

    assert {user for named in naming(world, tmp_path).values() for user in named} == {"bob@x"}
    assert world.report.destinations[0].rejected == 2
    assert len([name for name in world.store.objects if "/rejected/" in name]) == 1
    # Doing it again tries them again, and only them.
    world.segment.poisoned.clear()
    (part,) = world.retire("c1").destinations
    assert (part.planned, part.in_doubt, part.acknowledged) == (2, 2, 2)
    assert believed(world) == set()
    assert naming(world, tmp_path) == {}


def test_refused_users_fail_the_task_only_where_that_is_wanted(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    world.segment.poisoned.add("bob@x")

    report = world.retire("c1", on_rejected="warn")

    assert (report.destinations[0].rejected, report.destinations[0].committed) == (2, True)


def test_users_refused_in_three_syncs_are_not_left_out(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.segment.poisoned.add("ann@x")
    for _ in range(4):
        world.sync("c1", on_rejected="warn")
    assert world.report.destinations[0].skipped == 1
    world.segment.poisoned.clear()

    world.retire("c1")

    assert world.segment.former(TRAIT) == {"ann@x", "bob@x"}


def test_a_sync_that_was_not_told_to_its_end_is_retired_too(world: World, tmp_path: Path) -> None:
    """Segment took the batch, and its answer was lost."""
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.segment.lost = [no_response("lost")] * 40
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1")
    assert world.segment.members(TRAIT) == {"ann@x", "bob@x"}
    world.segment.lost = []

    world.retire("c1")

    assert world.segment.members(TRAIT) == set()
    assert naming(world, tmp_path) == {}


def test_two_destinations_are_retired_each_by_itself(tmp_path: Path) -> None:
    """One of them is down at first; the retry does not send to the other again, and reports both."""
    world = synced_world(tmp_path, ("default", "emea"))
    keys = ("default", "emea")
    source = world.segment.source

    def source_but_emea(write_key: str) -> Source:
        return source(write_key) if write_key == "default" else Source(lambda _body: no_response("down"))

    world.segment.source = source_but_emea  # type: ignore[method-assign]
    with pytest.raises(SegmentUnavailableError):
        world.retire("c1", run="retire", keys=keys)
    assert (believed(world), believed(world, "emea")) == (set(), {"bob@x"})
    world.segment.source = source  # type: ignore[method-assign]
    identifies = world.segment.identifies

    report = world.retire("c1", run="retire", keys=keys)

    assert world.segment.identifies == identifies + 5
    assert [(d.planned, d.acknowledged, d.committed) for d in report.destinations] == [(5, 5, True), (5, 5, True)]
    assert (believed(world), believed(world, "emea")) == (set(), set())
    assert naming(world, tmp_path) == {}


def test_a_destination_that_was_synced_since_is_retired_again_by_the_retry(tmp_path: Path) -> None:
    world = synced_world(tmp_path, ("default", "emea"))
    keys = ("default", "emea")
    world.segment.script = [None, *[no_response("down")] * 40]
    with pytest.raises(SegmentUnavailableError):
        world.retire("c1", run="retire", keys=keys)
    world.segment.script = []
    world.clock.pass_by(3600)
    world.amplitude.cohort("c1", "Heavy Users", ["bob@x"])
    world.sync("c1", keys=keys)

    world.retire("c1", run="retire", keys=keys)

    assert (believed(world), believed(world, "emea")) == (set(), set())


def test_the_other_destinations_stay_as_they_are_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = synced_world(tmp_path, ("default", "emea"))

    world.retire("c1")

    assert (believed(world), believed(world, "emea")) == (set(), {"bob@x"})
    assert "dst-emea (connection 'segment_emea')" in caplog.text
    caplog.clear()
    world.retire("c1", keys=("emea",))
    assert "also synced to other destinations" not in caplog.text


def test_a_cohort_without_a_ledger_is_refused_and_the_others_are_named(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    before = dict(world.store.objects)

    with pytest.raises(LedgerNotFoundError, match=r"no ledger of cohort c9 .*ledgers of cohort c1\. Nothing was sent"):
        world.retire("c9")

    assert world.store.objects == before


def test_a_state_path_without_a_ledger_says_that_there_is_none_at_all(world: World) -> None:
    mark_state_path(world.store)

    with pytest.raises(LedgerNotFoundError, match="there is no other ledger"):
        world.retire("c1")

    assert set(world.store.objects) == {MARKER}


def test_a_destination_without_a_ledger_is_refused_and_those_with_one_are_named(tmp_path: Path) -> None:
    world = synced_world(tmp_path)

    with pytest.raises(LedgerNotFoundError, match=r"destination dst-default \(connection 'segment_default'\)"):
        world.retire("c1", keys=("default", "emea"))

    assert believed(world) == {"bob@x"}


def test_another_routing_is_another_ledger(tmp_path: Path) -> None:
    world = synced_world(tmp_path)

    with pytest.raises(LedgerNotFoundError, match="integrations"):
        world.retire("c1", integrations={"All": False, "Braze": True})


@pytest.mark.parametrize("app_id", ["1234", "5678"])
def test_of_two_projects_that_have_the_cohort_one_must_be_named(tmp_path: Path, app_id: str) -> None:
    world = synced_world(tmp_path)
    for name, content in list(world.store.objects.items()):
        world.store.objects[name.replace("1234/", "5678/", 1)] = content
    other = {"1234": "5678", "5678": "1234"}[app_id]

    with pytest.raises(SettingError, match=r"app_id: got none.* 1234 or 5678") as refused:
        world.retire("c1")
    assert refused.value.setting == "app_id"
    with pytest.raises(LedgerNotFoundError, match="Amplitude app 1234, 5678"):
        world.retire("c1", app_id="9")
    world.retire("c1", app_id=app_id)

    assert {name.partition("/")[0] for name in naming(world, tmp_path)} == {other}


def test_a_name_that_is_no_folder_is_found_by_its_hash(world: World) -> None:
    world.amplitude.cohort("../c/1", "Power Users", ["ann@x"])
    world.sync("../c/1")

    world.retire("../c/1", app_id="1234")

    assert world.segment.former("Power Users (../c/1)") == {"ann@x"}


def test_a_sync_at_work_is_not_disturbed(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    take_claim(world.store, find_streams(world.store)[0], world.run_named("sync"), world.clock.now())

    with pytest.raises(ClaimHeldError, match="run 'sync'"):
        world.retire("c1")

    assert believed(world) == {"bob@x"}


def test_a_retirement_that_was_overtaken_sends_and_takes_away_nothing_more(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    stream = find_streams(world.store)[0]

    def overtake(name: str) -> None:
        if "/plan-" in name:
            world.store.before_write = lambda _name: None
            world.clock.pass_by(3600)
            take_claim(world.store, stream, world.run_named("sync"), world.clock.now())

    world.store.before_write = overtake
    identifies, named = world.segment.identifies, naming(world, tmp_path)

    with pytest.raises(ClaimLostError):
        world.retire("c1")

    assert world.segment.identifies == identifies
    assert set(named) <= set(naming(world, tmp_path))


def test_a_rival_that_comes_after_the_commit_keeps_all_that_it_reads(tmp_path: Path) -> None:
    world = synced_world(tmp_path)
    stream = find_streams(world.store)[0]

    def overtake(name: str) -> None:
        if name.endswith("current.json"):
            world.store.before_write = lambda _name: None
            world.clock.pass_by(3600)
            take_claim(world.store, stream, world.run_named("sync"), world.clock.now())

    world.store.before_write = overtake
    with pytest.raises(ClaimLostError):
        world.retire("c1", run="retire")
    world.clock.pass_by(3600)
    world.amplitude.cohort("c1", "Heavy Users", ["ann@x"])

    part = world.sync("c1").destinations[0]

    assert (part.entered, part.planned) == (1, 1)
    assert believed(world) == {"ann@x"}


def test_lost_state_is_refused_and_can_be_let_through(tmp_path: Path) -> None:
    """Users only in the lost part cannot be sent ``false``, so the state stays until a person has checked it."""
    world = synced_world(tmp_path)
    for name in [name for name in world.store.objects if "commit-3" in name or "plan-3" in name or "-4" in name]:
        del world.store.objects[name]

    with pytest.raises(MissingStateError, match="a retirement every user that is left"):
        world.retire("c1")
    world.retire("c1", on_missing_state="full")

    assert world.segment.former(TRAIT) >= {"ann@x", "bob@x", "cat@x"}
    assert world.retire("c1").destinations[0].planned == 0


def test_where_only_a_dry_run_was_made_nothing_can_be_retired(world: World) -> None:
    """E.g. with a routing that was tried once: a success would leave everyone true under the right one."""
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.sync("c1", dry_run=True, integrations={"All": False})

    with pytest.raises(LedgerNotFoundError):
        world.retire("c1", integrations={"All": False})

    assert world.segment.members("Power Users (c1)") == {"ann@x"}


def test_the_retry_of_a_retirement_that_was_killed_after_its_commit_reports_whom_it_told(tmp_path: Path) -> None:
    for write in range(1, 40):
        world = World(tmp_path / str(write))
        world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
        world.sync("c1")
        world.store.die_before_write(write)
        try:
            world.retire("c1", run="r")
        except Killed:
            world.store.revive()
        else:
            break
        # Killed behind its end, while it gave the claim back, it has forgotten that it ran.
        had_ended = world.segment.identifies == 4 and not any("/runs/" in name for name in world.store.objects)
        (part,) = world.retire("c1", run="r").destinations
        assert (part.planned, part.acknowledged, part.committed) == (0 if had_ended else 2, part.planned, True)
        assert world.segment.members("Power Users (c1)") == set()
        (again,) = world.retire("c1", run="r").destinations
        assert again.planned == 0
    assert write > 8


def test_a_sync_that_the_same_task_finished_before_is_no_retirement(world: World) -> None:
    """A task that was turned into a retirement, and cleared."""
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.segment.script = [None, CredentialsRejected(403)]
    with pytest.raises(SegmentRefusedError):
        world.sync("c1", run="r", keys=("default", "emea"))
    assert world.segment.identifies == 1

    world.retire("c1", run="r", keys=("default", "emea"))

    assert world.segment.members("Power Users (c1)") == world.segment.members("Power Users (c1)", "emea") == set()


def test_a_deferred_sync_of_before_asks_for_a_new_export_after_a_retirement(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]
    assert isinstance(world.attempt("c1", run="deferred", wait_for_export=False), ExportIncomplete)
    world.clock.pass_by(7200)
    world.retire("c1")

    world.sync("c1", run="deferred")

    assert world.amplitude.exports_spent == 3
    assert world.segment.members(TRAIT) == {"ann@x", "bob@x"}
