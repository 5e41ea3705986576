"""The ledger says what it holds, and refuses what it cannot vouch for."""

import json
from pathlib import Path

import pytest
from fakes import World
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal, Plan
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, folder_name
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import FORMAT, encode_entry
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerFormatError


@pytest.fixture
def synced(world: World) -> World:
    world.amplitude.cohort("c1", "Power Users", ["zoe-41", "max-17"])
    world.sync("c1")
    return world


def ledger(world: World) -> Ledger:
    return Ledger(world.store, Stream("1234", "c1", world.destination()).folder)


def path_of(world: World, part: str) -> str:
    return next(name for name in world.store.objects if part in name)


def test_a_committed_sync_leaves_its_entries_data_first(synced: World) -> None:
    written = [name.rsplit("/", 1)[-1] for name in synced.store.writes]

    order = [
        "claim-1.json",
        "changes-1.parquet",
        "plan-1.json",
        "acked-1-1.json",
        "snapshot-1-1.parquet",
        "commit-1.json",
    ]
    assert [name for name in written if name in order][: len(order)] == order
    newest = ledger(synced).newest()
    assert isinstance(newest, Commit)
    assert newest.report["acknowledged"] == 2


def test_a_file_that_is_read_wrong_once_is_no_damage(synced: World, tmp_path: Path) -> None:
    newest = ledger(synced).newest()
    assert isinstance(newest, Commit)
    whole, read = synced.store.get_file, iter([b"read wrong"])

    def get_file(name: str, to: Path) -> bool:
        is_there = whole(name, to)
        to.write_bytes(next(read, to.read_bytes()))
        return is_there

    synced.store.get_file = get_file  # type: ignore[method-assign]

    to = ledger(synced).load_file(newest.snapshot, tmp_path / "snapshot.parquet")
    assert to.read_bytes() == synced.store.objects[path_of(synced, "snapshot-")]


def test_a_snapshot_with_another_checksum_is_named_and_refused(synced: World) -> None:
    name = path_of(synced, "snapshot-")
    synced.store.objects[name] = synced.store.objects[name][:-1] + b"?"

    with pytest.raises(LedgerDamagedError, match=r"snapshot-1-1\.parquet has another checksum"):
        synced.attempt("c1")
    assert synced.segment.identifies == 2


def test_a_missing_snapshot_is_named(synced: World) -> None:
    del synced.store.objects[path_of(synced, "snapshot-")]

    with pytest.raises(LedgerDamagedError, match="is missing"):
        synced.attempt("c1")


@pytest.mark.parametrize("part", ["commit-1.json"])
def test_an_entry_that_is_no_json_is_named(synced: World, part: str) -> None:
    synced.store.objects[path_of(synced, part)] = b'{"format": 1, "gen'

    with pytest.raises(LedgerDamagedError, match=r"commit-1\.json"):
        synced.attempt("c1")


def test_a_journal_that_lacks_something_is_named(synced: World) -> None:
    synced.store.objects[path_of(synced, "acked-1-1.json")] = encode_entry({"acked": 7})
    del synced.store.objects[path_of(synced, "commit-1.json")]

    with pytest.raises(LedgerDamagedError, match=r"acked-1-1\.json"):
        synced.attempt("c1")


@pytest.mark.parametrize("found", [FORMAT - 1, FORMAT + 1])
def test_another_format_is_refused(synced: World, found: int) -> None:
    name = path_of(synced, "commit-1.json")
    synced.store.objects[name] = json.dumps({**json.loads(synced.store.objects[name]), "format": found}).encode()

    with pytest.raises(LedgerFormatError, match=f"this version reads format {FORMAT}"):
        synced.attempt("c1")


def test_no_user_and_no_secret_stands_in_an_entry_or_a_report(synced: World) -> None:
    """Users are in the Parquet files alone."""
    entries = b"".join(content for name, content in synced.store.objects.items() if name.endswith(".json"))

    assert b"zoe-41" not in entries
    assert b"max-17" not in entries


positions = st.sets(st.integers(0, 40))


@given(positions, positions, positions, positions)
def test_journals_add_up_and_an_acknowledgement_outweighs_a_refusal(
    acked: set[int], other_acked: set[int], rejected: set[int], other_rejected: set[int]
) -> None:
    one = Journal(Ranges.of_positions(acked), {p: Rejection(p, 400, "") for p in rejected})
    other = Journal(Ranges.of_positions(other_acked), {p: Rejection(p, 400, "") for p in other_rejected})

    both = one.union(other)

    assert both.acked == Ranges.of_positions(acked | other_acked)
    assert set(both.rejected) == (rejected | other_rejected) - acked - other_acked
    left = set(range(41)) - acked - other_acked - rejected - other_rejected
    assert both.pending(41) == Ranges.of_positions(left)


@given(st.text(), st.text())
def test_no_name_from_outside_is_a_path(one: str, other: str) -> None:
    for text in (one, f"../{one}", f"/{one}", "a" * 300 + one):
        name = folder_name(text)
        assert Path(name).name == name
        assert len(name) <= 64
        assert not name.startswith(".")
    assert (folder_name(one) == folder_name(other)) == (one == other)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        encode_entry({}).replace(b"}", b', "acked": [[0, 1e999]], "rejected": []}'),
        encode_entry({"acked": [[2, 0]], "rejected": []}),
        encode_entry({"acked": [], "rejected": [[-1, 400, ""]]}),
    ],
)
def test_an_entry_that_no_writer_of_ours_wrote_is_named(synced: World, content: bytes) -> None:
    plan = ledger(synced).entry(ObjectName("plan", 1))
    assert isinstance(plan, Plan)
    synced.store.objects[path_of(synced, "acked-1-1.json")] = content
    synced.store.objects[path_of(synced, "commit-1.json")] = content

    with pytest.raises(LedgerDamagedError, match="acked-1-1"):
        ledger(synced).journal(plan)
    with pytest.raises(LedgerDamagedError, match="commit-1"):
        ledger(synced).newest()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        encode_entry({}).replace(b"}", b', "requested_at": 1' + b"0" * 400 + b', "export_request_id": "a"}'),
    ],
)
def test_a_run_record_that_no_writer_of_ours_wrote_is_none(synced: World, content: bytes) -> None:
    """The run begins anew, as after a writer that died in the middle."""
    synced.store.objects["1234/c1/runs/a.json"] = content

    assert synced.sync("c1", run="a").export_request_id == "export-2"
