"""A state path that others use too: what lacks the package's mark is left as it is, and what is closed is named."""

import json
from pathlib import Path

import duckdb
import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver, warn
from airflow_provider_amplitude_segment.core.ledger.pruning import prune
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import (
    FORMAT,
    MARKER,
    PACKAGE,
    encode_entry,
    require_mark,
)
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_stream, find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import Erased, erase_users
from airflow_provider_amplitude_segment.core.maintenance.marked_copies import find_marked_copies
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.exceptions import (
    LedgerDamagedError,
    LedgerFormatError,
    LedgerNotFoundError,
    SegmentUnavailableError,
    StateMarkError,
    StatePathError,
    StateUnavailableError,
)

LEDGER = "1234/c1/dst-default"
TRAIT = "Power Users (c1)"


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, bytes]:
    """What a data lake, a log folder and backups have, under names that a careless walk takes for ours."""
    path = tmp_path / "foreign.parquet"
    duckdb.sql("SELECT 'ann' AS user_id").write_parquet(str(path))
    lake = path.read_bytes()
    return {
        "lake/events/day1/snapshot-0-0.parquet": lake,
        "lake/events/day2/snapshot-1.parquet": lake,
        "lake/events/day3/snapshot-3-3.parquet": lake,
        "lake/events/day3/rejected/1.csv": b"user_id\nann\n",
        "lake/plans/day4/plan-1.json": b'{"user": "ann"}',
        "lake/plans/day5/claim-1.json": b"[]",
        "logs/dag_id=x/run_id=y/task_id=z/attempt=1.log": b"ann",
        "backup/db/full/dump.sql": b"ann",
        "1234/c1/runs/notes.txt": b"ann",
        "1234/c1/notes.txt": b"ann",
    }


@pytest.fixture
def shared(world: World, foreign: dict[str, bytes]) -> World:
    """One ledger, of ann and bob, on a mount with all of that."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.store.objects.update(foreign)
    world.sync("c1")
    return world


def erase(world: World, scratch: Path, *user_ids: str) -> list[Erased]:
    found = []
    for number, stream in enumerate(find_streams(world.store)):
        folder = scratch / f"erasure-{number}-{world.clock.now()}"
        folder.mkdir()
        found.append(
            erase_users(
                MaintenancePorts(world.store, world.run_named("privacy"), world.clock, folder), stream, user_ids
            )
        )
    world.clock.pass_by(60)
    return found


def beside(world: World) -> dict[str, bytes]:
    """Everything but the ledger and the mark."""
    return {name: body for name, body in world.store.objects.items() if not name.startswith((LEDGER, MARKER))}


def passed_over(world: World) -> list[str]:
    passed: list[str] = []
    find_streams(world.store, lambda one: passed.append(str(one)))
    return passed


def test_only_the_ledger_is_found_and_an_erasure_leaves_everything_else_as_it_is(
    shared: World, foreign: dict[str, bytes], tmp_path: Path
) -> None:
    assert [stream.folder for stream in find_streams(shared.store)] == [LEDGER]
    assert passed_over(shared) == []

    (erased,) = erase(shared, tmp_path, "ann")

    assert (erased.pairs, erased.users, erased.left) == (1, {"ann"}, ())
    others = {
        name: body for name, body in shared.store.objects.items() if not name.startswith(LEDGER) and name != MARKER
    }
    assert others == foreign


def test_a_retirement_and_later_syncs_leave_everything_else_as_it_is(shared: World, foreign: dict[str, bytes]) -> None:
    shared.amplitude.cohort("c1", "Power Users", ["bob"])
    shared.sync("c1", keep_snapshots=1, max_exit_ratio=None)
    shared.retire("c1")

    assert shared.segment.members(TRAIT) == set()
    others = {
        name: body for name, body in shared.store.objects.items() if not name.startswith(LEDGER) and name != MARKER
    }
    assert others == foreign


def test_a_folder_of_another_program_beside_a_ledger_is_no_destination(
    shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the search for a changed key nor a retirement takes it for a destination or a ledger."""
    shared.store.objects["1234/c1/other/plan-1.json"] = b'{"segment_conn_id": "segment_new"}'
    shared.store.objects["1234/c2/other/plan-1.json"] = b"{}"

    shared.sync("c1", keys=("new",))
    with pytest.raises(LedgerNotFoundError) as refused:
        shared.retire("c9")
    shared.retire("c1", keys=("default", "new"))

    assert refused.value.found == ("c1",)
    assert "also synced to other destinations" not in caplog.text
    assert shared.store.objects["1234/c1/other/plan-1.json"] == b'{"segment_conn_id": "segment_new"}'


# Names and entries in a ledger's folder ---------------------------------------------------------------------------


FOREIGN_IN_LEDGER = {
    "notes.txt": b"ann",
    "snapshot-1.parquet": b"ann",
    "plan-1.json.bak": b"ann",
    "claim-0.json": b"{}",
    ".plan-1.json.swp": b"ann",
    "archive/1.csv": b"user_id\nann\n",
    "rejected/1 copy.csv": b"user_id\nann\n",
    "rejected/notes.txt": b"ann",
    "dry-runs/for Eve.csv": b"user_id\nann\n",
    "reports/ann.html": b"ann",
}


def test_an_erasure_names_what_is_not_ours_in_a_ledgers_folder_and_neither_reads_nor_deletes_it(
    shared: World, tmp_path: Path
) -> None:
    shared.store.objects.update({f"{LEDGER}/{name}": body for name, body in FOREIGN_IN_LEDGER.items()})
    shared.store.closed = {f"{LEDGER}/{name}" for name in FOREIGN_IN_LEDGER}

    (erased,) = erase(shared, tmp_path, "ann")

    assert erased.pairs == 1
    for name, body in FOREIGN_IN_LEDGER.items():
        assert shared.store.objects[f"{LEDGER}/{name}"] == body
        listed = "archive" if name.startswith("archive") else name
        assert [left for left in erased.left if f"{LEDGER}/{listed} is another program's" in left], name
    assert len(erased.left) == len(FOREIGN_IN_LEDGER)


def test_a_retirement_names_what_is_not_ours_in_a_ledgers_folder_and_does_not_delete_it(
    shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    shared.store.objects.update({f"{LEDGER}/{name}": body for name, body in FOREIGN_IN_LEDGER.items()})

    shared.retire("c1")

    for name, body in FOREIGN_IN_LEDGER.items():
        assert shared.store.objects[f"{LEDGER}/{name}"] == body
    assert f"memory:{LEDGER} holds objects of other programs" in caplog.text
    assert "rejected/1 copy.csv" in caplog.text


def test_an_entry_without_the_mark_in_a_ledger_is_named_and_never_deleted(
    shared: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = f"{LEDGER}/plan-1.json"
    for day in range(3):
        shared.amplitude.cohort("c1", "Power Users", ["ann", "bob", f"user-{day}"])
        shared.sync("c1", keep_snapshots=1)
    shared.store.objects[old] = b'{"another": "program"}'

    prune(Ledger(shared.store, LEDGER), 1)
    (erased,) = erase(shared, tmp_path, "ann")

    assert shared.store.objects[old] == b'{"another": "program"}'
    assert f"memory:{old} does not carry this package's mark, so it was not deleted." in caplog.text
    assert [left for left in erased.left if "plan-1.json is another program's" in left]


@pytest.mark.parametrize("content", [b'{"generation": 9}', b"null", b"[]"])
@pytest.mark.parametrize("name", ["claim-9.json", "plan-9.json", "commit-9.json", "current.json"])
def test_an_entry_without_the_mark_that_a_sync_would_go_by_stops_it_before_anything_is_sent(
    shared: World, name: str, content: bytes
) -> None:
    shared.store.objects[f"{LEDGER}/{name}"] = content
    spent = shared.amplitude.exports_spent

    with pytest.raises(LedgerDamagedError, match=rf"{name} does not carry this package's mark"):
        shared.attempt("c1")

    assert shared.store.objects[f"{LEDGER}/{name}"] == content
    assert (shared.amplitude.exports_spent, shared.segment.identifies) == (spent, 2)


@pytest.mark.parametrize("name", ["claim-1.json", "plan-1.json", "commit-4.json"])
def test_a_folder_of_another_program_is_not_claimed_by_a_sync_that_would_keep_its_ledger_there(
    world: World, name: str
) -> None:
    world.store.objects[f"{LEDGER}/{name}"] = b"{}"
    before = dict(world.store.objects)

    with pytest.raises(LedgerDamagedError, match="does not carry this package's mark"):
        take_claim(world.store, Stream("1234", "c1", world.destination()), world.run_named("a"), world.clock.now())

    assert world.store.objects == before


def test_a_claim_of_a_newer_version_is_not_taken_over(shared: World) -> None:
    shared.store.objects[f"{LEDGER}/claim-9.json"] = json.dumps({"package": PACKAGE, "format": FORMAT + 1}).encode()

    with pytest.raises(LedgerFormatError, match=r"claim-9\.json has format 4"):
        shared.attempt("c1")

    assert f"{LEDGER}/claim-10.json" not in shared.store.objects


def test_every_entry_carries_the_mark_and_the_format(shared: World) -> None:
    shared.amplitude.cohort("c1", "Power Users", ["ann", "cat"])
    shared.segment.script = [no_response("ConnectionError")] * 20
    with pytest.raises(SegmentUnavailableError):
        shared.attempt("c1")
    entries = {name: body for name, body in shared.store.objects.items() if name.endswith(".json")}

    for kind in ("claim-", "plan-", "acked-", "commit-", "current", "reports/", "/runs/", "state"):
        assert [name for name in entries if kind in name], kind
    for name, body in entries.items():
        if not name.startswith("lake"):
            entry = json.loads(body)
            assert (entry["package"], entry["format"]) == ("airflow-provider-amplitude-segment", 3), name


# What cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b'{"package": "airflow-provider-ampl', b"\x00" * 300])
def test_a_ledger_of_which_every_entry_is_torn_is_named(shared: World, content: bytes) -> None:
    for name in shared.store.objects:
        if name.startswith(LEDGER) and name.endswith(".json"):
            shared.store.objects[name] = content

    assert find_streams(shared.store, lambda _: None) == []
    (passed,) = passed_over(shared)
    assert passed.startswith(
        f"memory:{LEDGER} was passed over: it has a ledger's entries, and none of them can be read."
    )


def test_one_entry_that_can_be_read_makes_a_damaged_ledger_be_found(shared: World) -> None:
    for name in shared.store.objects:
        if name.startswith(LEDGER) and name.endswith(".json") and "commit" not in name:
            shared.store.objects[name] = b""

    assert [stream.folder for stream in find_streams(shared.store)] == [LEDGER]


CLOSED = {
    "lost+found": "Its name is not that of a ledger.",
    ".Trash-0": "Its name is not that of a ledger.",
    "5678": "If it is a ledger, or holds one, run this again as a user who can read it.",
    "5678/c1": "If it is a ledger, or holds one",
    "5678/c1/dst": "If it is a ledger, or holds one",
    "5678/c1/dst/claim-1.json": "If it is a ledger, or holds one",
}


@pytest.mark.parametrize(("closed", "said"), CLOSED.items())
def test_what_is_closed_to_this_user_is_passed_over_and_named_and_the_ledger_is_found(
    shared: World, closed: str, said: str
) -> None:
    inside = {"5678": "/c1/dst/claim-1.json", "5678/c1": "/dst/claim-1.json"}
    shared.store.objects[closed + inside.get(closed, "" if closed.endswith("json") else "/claim-1.json")] = b""
    shared.store.closed = {closed}

    assert [stream.folder for stream in find_streams(shared.store)] == [LEDGER]
    (passed,) = passed_over(shared)
    assert passed.startswith(f"memory:{closed.removesuffix('/claim-1.json')} was passed over: it cannot be read (")
    assert "Permission denied" in passed
    assert said in passed


def test_a_place_that_fails_for_a_while_is_not_passed_over() -> None:
    """The task is retried; a ledger that is left out would end it for good."""
    with pytest.raises(StateUnavailableError):
        warn(PassedOver("memory:5678", StateUnavailableError("memory:", "Input/output error, at 5678")))


def test_a_root_that_is_closed_is_an_error(shared: World) -> None:
    shared.store.closed = {""}

    with pytest.raises(StatePathError):
        find_streams(shared.store)


def test_a_retirement_passes_over_what_is_closed_and_names_it(shared: World, caplog: pytest.LogCaptureFixture) -> None:
    shared.store.objects.update(
        {"lost+found/x": b"", "1234/c1/other/claim-1.json": b"", "5678/c1/dst/claim-1.json": b""}
    )
    shared.store.closed = {"lost+found", "1234/c1/other", "5678/c1"}

    shared.retire("c1")

    assert shared.segment.members(TRAIT) == set()
    for closed in shared.store.closed:
        assert f"memory:{closed} was passed over: it cannot be read" in caplog.text


@pytest.mark.parametrize("closed", ["1234/c1/dst-old", "1234/c1/dst-old/commit-1.json"])
def test_a_first_sync_passes_over_a_neighbor_that_is_closed_and_says_what_it_does_not_know(
    shared: World, closed: str, caplog: pytest.LogCaptureFixture
) -> None:
    shared.store.objects[f"{LEDGER}/plan-1.json"] = shared.store.objects[f"{LEDGER}/commit-1.json"]
    for name in [name for name in shared.store.objects if name.startswith(LEDGER)]:
        shared.store.objects[name.replace("dst-default", "dst-old")] = shared.store.objects.pop(name)
    del shared.store.objects["1234/c1/dst-old/plan-1.json"]
    shared.store.closed = {closed}

    report = shared.sync("c1")

    assert report.destinations[0].entered == 2
    assert "memory:1234/c1/dst-old was passed over: it cannot be read" in caplog.text
    assert "it is unknown whether this connection synced the cohort there before" in caplog.text


def test_a_file_for_people_that_is_closed_is_named_and_all_else_is_erased(shared: World, tmp_path: Path) -> None:
    shared.store.objects[f"{LEDGER}/rejected/1.csv"] = b"user_id\nann\n"
    shared.store.objects[f"{LEDGER}/rejected/2.csv"] = b"user_id\nann\n"
    shared.store.closed = {f"{LEDGER}/rejected/1.csv"}

    (erased,) = erase(shared, tmp_path, "ann")

    assert (erased.pairs, erased.files) == (1, 1)
    (left,) = erased.left
    assert f"memory:{LEDGER}/rejected/1.csv cannot be read or written (Permission denied" in left


# The mark of the state path ---------------------------------------------------------------------------------------


def test_the_first_thing_that_a_sync_writes_is_the_mark_and_it_is_written_once(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    world.sync("c1")

    assert world.store.writes[0] == MARKER
    assert world.store.writes.count(MARKER) == 1
    assert world.store.objects[MARKER] == encode_entry({})
    require_mark(world.store)


def test_two_first_syncs_at_once_leave_one_mark(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.cohort("c2", "Trial Users", ["bob"])

    def begin_too(name: str) -> None:
        assert name == MARKER
        world.store.before_write = lambda _name: None
        world.sync("c2")

    world.store.before_write = begin_too
    world.sync("c1")

    assert world.store.objects[MARKER] == encode_entry({})
    assert len(find_streams(world.store)) == 2


def test_without_the_mark_nothing_is_retired_and_nothing_is_changed(shared: World) -> None:
    del shared.store.objects[MARKER]
    before = dict(shared.store.objects)

    with pytest.raises(StateMarkError, match=rf"it has no object {MARKER}.*Nothing was sent or changed") as refused:
        shared.retire("c1")

    assert not refused.value.retryable
    assert (shared.store.objects, shared.segment.identifies) == (before, 2)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"package": "another", "format": 2}', b"plain text"])
def test_a_mark_that_another_program_wrote_stops_a_sync_and_is_left(world: World, content: bytes) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.store.objects[MARKER] = content

    for act in (world.attempt, world.retire):
        with pytest.raises(StateMarkError, match="was written by another program"):
            act("c1")

    assert world.store.objects == {MARKER: content}
    assert world.amplitude.exports_spent == 0


def test_a_state_path_of_a_newer_version_is_refused(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.store.objects[MARKER] = json.dumps({"package": PACKAGE, "format": FORMAT + 1}).encode()

    for act in (world.attempt, world.retire):
        with pytest.raises(
            LedgerFormatError, match=rf"{MARKER} has format {FORMAT + 1}, and this version reads format {FORMAT}"
        ):
            act("c1")

    assert list(world.store.objects) == [MARKER]


@pytest.mark.parametrize(
    "folder",
    [
        "1234/c1",
        "1234/c1/dst-default/reports",
        "1234/c1/runs",
        "1234/c1/no",
        "../c1/dst-default",
        "lake/plans/day4",
        "",
    ],
)
def test_what_is_no_ledger_is_not_found_by_its_folder_either(shared: World, folder: str) -> None:
    assert find_stream(shared.store, folder) is None
    assert find_stream(shared.store, f"/{LEDGER}/") is not None


# Marked copies ----------------------------------------------------------------------------------------------------


def copy_of(world: World, folder: str, to: str) -> None:
    below = {name: body for name, body in world.store.objects.items() if name.startswith(f"{folder}/")}
    world.store.objects.update({name.replace(folder, to, 1): body for name, body in below.items()})


def marked_copies(world: World) -> tuple[list[str], list[str]]:
    passed: list[str] = []
    return list(find_marked_copies(world.store, lambda one: passed.append(str(one)))), passed


@pytest.mark.parametrize(
    ("folder", "to", "found"),
    [
        ("1234", "1234.bak", "1234.bak/c1/dst-default"),
        ("1234", ".1234", ".1234/c1/dst-default"),
        ("1234", "1234 (copy)", "1234 (copy)/c1/dst-default"),
        ("1234/c1", "1234/c1.2026-11-24", "1234/c1.2026-11-24/dst-default"),
        (LEDGER, "1234/c1/dst-default.old", "1234/c1/dst-default.old"),
        (LEDGER, "1234/c1/runs", "1234/c1/runs"),
        (LEDGER, "1234 copy/c1 copy/dst copy", "1234 copy/c1 copy/dst copy"),
        (LEDGER, "ledger.bak", "ledger.bak"),
        (LEDGER, "1234/ledger", "1234/ledger"),
    ],
)
def test_a_copy_of_a_ledger_under_a_name_that_no_ledger_has_is_named(
    shared: World, folder: str, to: str, found: str
) -> None:
    assert marked_copies(shared) == ([], [])

    copy_of(shared, folder, to)

    assert marked_copies(shared) == ([found], [])


@pytest.mark.parametrize("closed", ["1234/c1.bak", "1234/c1/dst.old", "1234.bak/c1", "1234.bak/c1/dst/claim-1.json"])
def test_a_folder_of_another_name_that_is_closed_is_named(shared: World, closed: str) -> None:
    shared.store.objects[closed if closed.endswith(".json") else f"{closed}/claim-1.json"] = b""
    shared.store.closed = {closed}

    copies, passed = marked_copies(shared)

    assert copies == []
    place = closed.removesuffix("/claim-1.json")
    assert [one.startswith(f"memory:{place} was passed over: it cannot be read") for one in passed] == [True]
    assert passed_over(shared) == []


def test_a_folder_of_another_name_whose_entries_are_torn_is_named(shared: World) -> None:
    shared.store.objects["1234/c1/dst.old/claim-1.json"] = b""

    copies, (passed,) = marked_copies(shared)

    assert copies == []
    assert passed.startswith("memory:1234/c1/dst.old was passed over: it has a ledger's entries")


def test_a_folder_that_fails_for_a_while_is_no_folder_without_copies(shared: World) -> None:
    copy_of(shared, "1234/c1", "1234/c1.bak")
    listed = shared.store.names

    def names(folder: str) -> list[str]:
        if folder == "1234/c1.bak":
            raise StateUnavailableError("memory:", "Input/output error")
        return listed(folder)

    shared.store.names = names  # type: ignore[method-assign]
    with pytest.raises(StateUnavailableError):
        marked_copies(shared)
