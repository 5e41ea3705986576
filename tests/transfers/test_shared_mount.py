"""Maintaining ledgers on a mount, or in a bucket, that others use too (field cases F2, F3 and F10)."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import duckdb
import pytest
from fakes.other_user import OtherUser
from fakes.s3_server import S3Server
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.warm_python import warm_python

from airflow_provider_amplitude_segment.__main__ import main
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox

TRAIT = "Power Users (c1)"


class Command(Protocol):
    """One of the package's commands; returns its exit status and what it printed."""

    def __call__(self, state: object, *words: str, user_ids: bytes = b"") -> tuple[int, str]: ...


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process: in one of its own Airflow's start takes most of the time."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")

    def run(state: object, *words: str, user_ids: bytes = b"") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(user_ids)))
        capsys.readouterr()
        try:
            status = main(["--state-path", str(state), *words])
        except SystemExit as ended:
            status = int(ended.code or 0)
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def run_in_a_process(state: object, *words: str, user_ids: bytes = b"") -> tuple[int, str]:
    arguments = ("-m", "airflow_provider_amplitude_segment", "--state-path", str(state), *words)
    ended = warm_python().run(*arguments, given=user_ids)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, bytes]:
    """What lies beside the ledger."""
    lake = tmp_path / "lake.parquet"
    duckdb.sql("SELECT 'ann' AS user_id").write_parquet(str(lake))
    return {
        "lake/events/day1/snapshot-0-0.parquet": lake.read_bytes(),
        "lake/events/day2/snapshot-1.parquet": lake.read_bytes(),
        "lake/events/day3/plan-1.json": b'{"user": "ann"}',
        "logs/dag_id=x/run_id=y/task_id=z/attempt=1.log": b"ann",
        "backup/db/full/dump.sql": b"ann",
    }


def check_only_the_ledger_is_touched(state: object, command: Command) -> None:
    status, output = command(state, "list")
    assert status == 0, output
    assert ("commit 1 (newest)" in output, "nothing was sent yet" in output) == (True, False)
    assert not [name for name in ("lake", "logs", "backup") if name in output], output

    status, output = command(state, "erase", user_ids=b"ann\n")
    assert (status, "1 traits erased" in output) == (0, True), output
    assert "User IDs to erase: 1; found: 1, in 1 of 1 ledgers." in output
    assert not [name for name in ("lake", "logs", "backup") if name in output], output

    status, output = command(state, "rollback", "lake/events/day3", "--to", "1")
    assert (status, "There is no ledger lake/events/day3" in output) == (1, True), output


def test_nothing_beside_the_ledger_is_listed_claimed_or_deleted(
    sync: Sync, retire: Sync, tmp_path: Path, foreign: dict[str, bytes]
) -> None:
    state = tmp_path / "state"
    for name, content in foreign.items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(content)
    sync()

    check_only_the_ledger_is_touched(state, run_in_a_process)
    retire()

    found = {str(path.relative_to(state)): path for path in state.rglob("*") if path.is_file()}
    beside = {
        name: path.read_bytes() for name, path in found.items() if name.split("/")[0] in {"lake", "logs", "backup"}
    }
    assert beside == foreign


def test_nothing_beside_the_ledger_in_a_bucket_is_listed_claimed_or_deleted(
    sync: Sync,
    command: Command,
    s3_server: S3Server,
    bucket: str,
    foreign: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHARED_S3", s3_server.connection())
    state = f"s3://shared_s3@{bucket}/state"
    for name, content in foreign.items():
        s3_server.put(f"{bucket}/state/{name}", content)
    sync(state_path=state)

    check_only_the_ledger_is_touched(state, command)

    root = open_state_root(state)
    found = {path.removeprefix(f"{bucket}/state/"): path for path in root.fs.find(root.path)}
    beside = {
        name: root.fs.cat_file(p) for name, p in found.items() if name.split("/")[0] in {"lake", "logs", "backup"}
    }
    assert beside == foreign


# What another user may not read -------------------------------------------------------------------------------------


@pytest.fixture
def other_user() -> Iterator[OtherUser]:
    with OtherUser() as user:
        yield user


def test_a_folder_that_is_closed_is_named_and_passed_over(sync: Sync, other_user: OtherUser) -> None:
    sync(state_path=str(other_user.state))
    other_user.close("lost+found")

    status, listed, warned = other_user.run("list")
    assert (status, "commit 1 (newest)" in listed) == (0, True), warned
    assert f"{other_user.state}/lost+found was passed over: it cannot be read (Permission denied" in warned

    status, output, warned = other_user.run("erase", user_ids=b"ann")
    assert (status, "1 traits erased" in output) == (0, True), warned
    assert f"{other_user.state}/lost+found was passed over: it cannot be read (Permission denied" in warned
    assert "Its name is not that of a ledger." in warned


def test_an_erasure_that_cannot_read_what_may_be_a_ledger_says_so_and_fails(sync: Sync, other_user: OtherUser) -> None:
    sync(state_path=str(other_user.state))
    closed = ("5678", "187520/c2", "187520/c1/dst-other")
    for name in closed:
        other_user.close(name)

    status, output, warned = other_user.run("erase", user_ids=b"ann")

    assert (status, "1 traits erased" in output) == (1, True), warned
    for name in closed:
        assert f"{other_user.state}/{name} was passed over: it cannot be read (Permission denied" in warned
    assert "run this again as a user who can read it. NOT erased: its content was not read." in warned


def test_a_root_that_is_closed_is_an_error_that_names_it(sync: Sync, other_user: OtherUser) -> None:
    sync(state_path=str(other_user.state))
    other_user.close(".")

    for action in ("list", "erase"):
        status, _, output = other_user.run(action, user_ids=b"ann")
        assert (status, f"The state path {other_user.state} cannot be used: Permission denied" in output) == (
            1,
            True,
        ), output


def test_a_retirement_and_a_first_sync_pass_over_what_is_closed(
    sandbox: Sandbox, sync: Sync, other_user: OtherUser
) -> None:
    sync(state_path=str(other_user.state))
    other_user.close("lost+found")
    other_user.close("187520/c1/dst-other")

    status, output, warned = other_user.run("sync", "segment_emea")
    assert status == 0, warned
    assert f"{other_user.state}/187520/c1/dst-other was passed over: it cannot be read" in output + warned

    status, output, warned = other_user.run("retire", "segment_default")
    assert status == 0, warned
    for closed in ("lost+found", "187520/c1/dst-other"):
        assert f"{other_user.state}/{closed} was passed over: it cannot be read" in output + warned
    assert not any(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT))


def test_a_prefix_of_a_bucket_that_is_denied_is_named_and_passed_over(
    sync: Sync, retire: Sync, command: Command, s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHARED_S3", s3_server.connection())
    state = f"s3://shared_s3@{bucket}/state"
    sync(state_path=state)
    for name in ("lost+found", "5678"):
        s3_server.put(f"{bucket}/state/{name}/c1/dst/claim-1.json", b"")
        s3_server.deny(f"{bucket}/state/{name}/")

    status, output = command(state, "list")
    assert (status, "commit 1 (newest)" in output) == (0, True), output
    assert output.count("was passed over: it cannot be read (AccessDenied") == 2
    status, output = command(state, "erase", user_ids=b"ann")
    assert (status, "1 traits erased" in output) == (1, True), output
    assert f"{state}/5678 was passed over" in output
    retire(state_path=state)


# The list of user IDs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "user_ids",
    [
        b'"ann"\n',
        b'"amplitude_id","user_id","plan"\r\n"1","ann","pro"\r\n"2","","free"\r\n',
        b'\xef\xbb\xbf"\tamplitude_id","\tuser_id"\n"\t1","\tann"\n',
        b"ann\r\nnot known\r\n",
    ],
)
def test_a_list_is_read_as_amplitude_writes_it(sync: Sync, command: Command, tmp_path: Path, user_ids: bytes) -> None:
    sync()

    status, output = command(tmp_path / "state", "erase", user_ids=user_ids)

    assert (status, "1 traits erased" in output) == (0, True), output
    asked = 2 if b"not known" in user_ids else 1
    assert f"User IDs to erase: {asked}; found: 1, in 1 of 1 ledgers." in output
    assert "ann" not in output.replace("dst-", "")


def test_an_id_with_a_line_break_is_erased_and_the_users_of_its_lines_are_not(
    sandbox: Sandbox, sync: Sync, command: Command, tmp_path: Path
) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["a\nb", "a", "b"]
    sync()

    status, output = command(tmp_path / "state", "erase", user_ids=b'"a\nb"\n')

    assert (status, "User IDs to erase: 1; found: 1, in 1 of 1 ledgers." in output) == (0, True), output
    sandbox.amplitude.cohorts["c1"].user_ids = ["a", "b"]
    assert sync(FakeTaskInstance("second"))["destinations"][0]["planned"] == 0


@pytest.mark.parametrize(
    "user_ids", [b"", b" \n\n", b'"user_id"\n', b'"ann\nbob\n', b'"1","ann"\n', b"\xfcmlaut\nann\n"]
)
def test_a_list_that_names_no_user_or_cannot_be_read_erases_none_and_fails(
    sync: Sync, command: Command, tmp_path: Path, user_ids: bytes
) -> None:
    sync()
    before = {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()}

    status, output = command(tmp_path / "state", "erase", user_ids=user_ids)

    assert (status, "Nothing was erased" in output, "Traceback" in output) == (1, True, False), output
    assert {path: path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()} == before


def test_ids_that_may_be_meant_otherwise_are_counted(sync: Sync, command: Command, tmp_path: Path) -> None:
    sync()

    status, output = command(tmp_path / "state", "erase", user_ids=b"ann \n bob\n")

    assert (status, "User IDs to erase: 2; found: 0, in 0 of 1 ledgers." in output) == (0, True), output
    assert "Of these IDs, 2 begin or end with a blank" in output


@pytest.mark.parametrize("generation", ["1_0", "0", "1 (newest)"])
def test_a_generation_that_is_not_as_list_prints_it_is_refused(
    command: Command, tmp_path: Path, generation: str
) -> None:
    status, output = command(tmp_path / "state", "rollback", "187520/c1/x", f"--to={generation}")

    assert (status, "is no generation of a commit" in output) == (2, True), output
