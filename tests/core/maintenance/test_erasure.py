"""Erasing users: afterwards nothing below the ledger's folder names them, and everybody else is as before."""

import csv
import io
from pathlib import Path

import duckdb
import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import Erased, erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, RejectedUsersError

TRAIT = "Power Users (c1)"


def erase(world: World, scratch: Path, *user_ids: str, run: str = "privacy") -> list[Erased]:
    found = []
    for number, stream in enumerate(find_streams(world.store)):
        folder = scratch / f"erasure-{run}-{number}"
        folder.mkdir()
        found.append(
            erase_users(MaintenancePorts(world.store, world.run_named(run), world.clock, folder), stream, user_ids)
        )
    world.clock.pass_by(60)
    return found


def named_in(world: World, scratch: Path, user_id: str) -> list[str]:
    """Names of the objects that name a user, Parquet or not."""
    named = []
    for name, content in world.store.objects.items():
        text = content
        if content.startswith(b"PAR1"):
            file = scratch / "look.parquet"
            file.write_bytes(content)
            text = repr(duckdb.sql(f"FROM read_parquet('{file}')").fetchall()).encode()
        if user_id.encode() in text:
            named.append(name)
    return named


def history(world: World) -> None:
    """Three syncs, one rejected user, a dry run and a plan that was not delivered to its end."""
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x", "eve@x"])
    world.segment.poisoned.add("eve@x")
    with pytest.raises(RejectedUsersError):
        world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "cat@x", "eve@x"])
    world.sync("c1", on_rejected="warn")
    world.sync("c1", dry_run=True)
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x", "cat@x"])
    world.store.before_write = kill_at_commit
    with pytest.raises(Killed):
        world.attempt("c1", run="killed")
    world.store.before_write = lambda _name: None
    world.clock.pass_by(3600)


def kill_at_commit(name: str) -> None:
    if "/commit-" in name:
        raise Killed


@pytest.mark.parametrize("user_id", ["ann@x", "bob@x", "eve@x"])
def test_nothing_names_an_erased_user_and_everybody_else_is_as_before(
    world: World, tmp_path: Path, user_id: str
) -> None:
    history(world)
    assert len(named_in(world, tmp_path, user_id)) >= 3

    (erased,) = erase(world, tmp_path, user_id)

    assert erased.pairs == 1
    assert named_in(world, tmp_path, user_id) == []
    world.segment.poisoned.clear()
    users = {"ann@x", "bob@x", "cat@x"} - {user_id}
    world.amplitude.cohort("c1", "Power Users", users)
    world.sync("c1", max_exit_ratio=None)
    assert world.segment.members(TRAIT) - {user_id} == users
    # All others get only what is in doubt or has changed: the first member's key has no second message.
    assert world.report.destinations[0].planned <= 3


def test_several_are_erased_at_once_and_from_every_ledger(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.amplitude.cohort("c2", "Trial Users", ["bob@x", "cat@x"])
    world.sync("c1", keys=("default", "emea"))
    world.sync("c2")

    erased = erase(world, tmp_path, "bob@x", "cat@x", "unknown")

    assert [e.pairs for e in erased] == [1, 1, 2]
    assert named_in(world, tmp_path, "bob@x") == named_in(world, tmp_path, "cat@x") == []


def test_a_ledger_that_does_not_name_them_keeps_its_earlier_commits(world: World, tmp_path: Path) -> None:
    history(world)
    before = {name: content for name, content in world.store.objects.items() if "claim" not in name}

    assert erase(world, tmp_path, "unknown") == [Erased(0, None, 0)]

    after = {name: content for name, content in world.store.objects.items() if "claim" not in name}
    assert after == before


def test_an_erased_user_who_is_still_a_member_is_a_new_one_for_the_next_sync(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    erase(world, tmp_path, "bob@x")

    destination = world.sync("c1").destinations[0]

    assert (destination.entered, destination.planned) == (1, 1)


def test_an_erasure_that_was_killed_at_any_write_is_finished_by_doing_it_again(world: World, tmp_path: Path) -> None:
    write, killed = 1, True
    while killed:
        world = World(tmp_path / f"world-{write}")
        history(world)
        world.store.die_before_write(write)
        try:
            erase(world, tmp_path / f"world-{write}", "ann@x")
            killed = False
        except Killed:
            world.clock.pass_by(3600)
        world.store.revive()

        erase(world, tmp_path / f"world-{write}", "ann@x", run="again")

        assert named_in(world, tmp_path, "ann@x") == [], f"killed before write {write}"
        write += 1
    assert write > 10


def test_what_a_killed_writer_left_beside_the_place_is_taken_away(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.sync("c1")
    folder = find_streams(world.store)[0].folder
    world.store.objects[f"{folder}/.snapshot-1-1.parquet.0123456789abcdef"] = b"PAR1 half of ann@x"
    world.store.objects[f"{folder}/rejected/.1.csv.0123456789abcdef"] = b"ann@x"

    erase(world, tmp_path, "ann@x")

    assert not [name for name in world.store.objects if "/." in name]


def test_pruning_takes_away_what_earlier_owners_left_half_written(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    folder = find_streams(world.store)[0].folder
    world.store.objects[f"{folder}/.snapshot-1-1.parquet.0123456789abcdef"] = b"half"
    # The highest claim's own owner may be writing this one just now.
    world.store.objects[f"{folder}/.claim-2.json.0123456789abcdef"] = b"half"

    world.sync("c1")

    left = [name.rsplit("/", 1)[-1] for name in world.store.objects if "/." in name]
    assert left == [".claim-2.json.0123456789abcdef"]


def test_nobody_is_erased_while_a_sync_is_at_work(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    take_claim(world.store, find_streams(world.store)[0], world.run_named("b"), world.clock.now())

    with pytest.raises(ClaimHeldError):
        erase(world, tmp_path, "ann@x")


def test_a_first_dry_run_and_a_first_sync_that_was_killed_are_reached_too(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", dry_run=True)
    world.amplitude.cohort("c2", "Trial Users", ["ann@x"])

    def die(name: str) -> None:
        if "plan-" in name:
            raise Killed

    world.store.before_write = die
    with pytest.raises(Killed):
        world.attempt("c2")
    world.store.before_write = lambda _name: None
    world.clock.pass_by(3600)
    assert len(named_in(world, tmp_path, "ann@x")) == 2

    erase(world, tmp_path, "ann@x")

    assert named_in(world, tmp_path, "ann@x") == []


@pytest.mark.parametrize("user_id", ["'o'", 'a"b', "a,b", "a;b", "a\tb", "a#b", "a\nb", "\\o", " o", "ü@x"])
def test_a_user_id_that_a_csv_file_must_quote_is_erased_and_its_neighbour_is_not(
    world: World, tmp_path: Path, user_id: str
) -> None:
    world.amplitude.cohort("c1", "Power Users", [user_id, f"{user_id}2", "'p'"])
    world.segment.poisoned = {user_id, f"{user_id}2", "'p'"}
    world.segment.poisoned.discard("")
    world.amplitude.cohort("c1", "Power Users", [user_id, f"{user_id}2", "'p'", "fine"])
    world.sync("c1", on_rejected="warn")
    name = next(name for name in world.store.objects if "/rejected/" in name)

    (erased,) = erase(world, tmp_path, user_id)

    rows = list(csv.reader(io.StringIO(world.store.objects[name].decode(), newline="")))
    assert erased.files == 1
    assert sorted(row[0] for row in rows[1:]) == sorted(["'p'", f"{user_id}2"])


@pytest.mark.parametrize("content", [b"user;why\nann@x;left\n", b"user_id\n\xfc,ann@x\n", b"ann@x"])
def test_a_file_that_is_not_as_it_was_written_here_is_named_after_all_else_is_done(
    world: World, tmp_path: Path, content: bytes
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    folder = find_streams(world.store)[0].folder
    world.store.objects[f"{folder}/rejected/9.csv"] = content.replace(b"user_id", b"users")
    # Files that come after it are reached all the same.
    world.store.objects[f"{folder}/rejected/99.csv"] = b"user_id,why\nann@x,left\n"
    world.store.objects[f"{folder}/dry-runs/1.csv"] = b"trait,user_id,value\nx,ann@x,true\n"

    (erased,) = erase(world, tmp_path, "ann@x")

    (left,) = erased.left
    assert "rejected/9.csv names one of the users" in left
    assert named_in(world, tmp_path, "ann@x") == [f"{folder}/rejected/9.csv"]


def test_nothing_of_a_users_properties_stays(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.amplitude.properties = {"ann@x": {"town": "Ludwigshafen"}, "bob@x": {"town": "Oslo"}}
    world.sync("c1", user_properties=("town",))
    world.sync("c1", user_properties=("town",), dry_run=True, sync_mode="full")
    assert len(named_in(world, tmp_path, "Ludwigshafen")) == 3

    (erased,) = erase(world, tmp_path, "ann@x")

    assert (erased.pairs, erased.files) == (1, 1)
    assert named_in(world, tmp_path, "Ludwigshafen") == named_in(world, tmp_path, "ann@x") == []
    assert world.sync("c1", user_properties=("town",)).destinations[0].entered == 1
