"""Maintaining ledgers from a shell, in the steps that docs/reference/cli.md gives."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from fakes.s3_server import S3Server
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.warm_python import warm_python

from airflow_provider_amplitude_segment.sandbox import Sandbox

STEPS = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def run_step(state: Path, command: str, *replaced: tuple[str, str], user_ids: str = "") -> tuple[int, str]:
    """Run the documented command line whose word this is; return its exit status and what it printed."""
    (line,) = re.findall(
        rf"^ *(python -m airflow_provider_amplitude_segment {command}\b.*)$", STEPS.read_text(), re.MULTILINE
    )
    words = line.partition("<")[0].split()
    assert ("<" in line) is bool(user_ids)
    for word, real in replaced:
        words[words.index(word)] = real
    environment = {**os.environ, "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(state)}
    ended = warm_python().run(*words[1:], environment=environment, given=user_ids.encode())
    return ended.returncode, ended.stdout + ended.stderr


def test_after_the_steps_to_roll_back_the_next_sync_tells_again(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "cat"]
    sync(FakeTaskInstance("manual__2"))
    status, listed = run_step(tmp_path / "state", "list")
    assert status == 0
    (ledger,) = re.findall(r"^\S+/c1/\S+$", listed, re.MULTILINE)
    assert re.findall(r"commit (\d+)(?: \(newest\))?: .*trait 'Power Users \(c1\)'", listed) == ["2", "1"]

    status, output = run_step(tmp_path / "state", "rollback", ("1234/26umsb5/3f1c77aa01b2c3d4", ledger), ("41", "1"))

    assert (status, "rolled back to commit 1 as commit 3. 2 of 3 users are in doubt" in output) == (0, True), output
    report = sync(FakeTaskInstance("manual__3"))
    assert report["destinations"][0]["in_doubt"] == 2
    assert sandbox.compare("c1").equal
    status, output = run_step(tmp_path / "state", "rollback", ("1234/26umsb5/3f1c77aa01b2c3d4", "no/such/ledger"))
    assert (status, "Nothing was changed" in output) == (1, True)


def test_the_steps_to_erase_a_user_leave_nothing_that_names_them(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", "bob@example.com"]
    sandbox.segment.poisoned.add("bob@example.com")
    sync(on_rejected="warn")
    sync(FakeTaskInstance("manual__2"), dry_run=True)
    named = [path for path in (tmp_path / "state").rglob("*") if path.is_file() and b"bob@" in path.read_bytes()]
    assert len(named) >= 3

    status, output = run_step(tmp_path / "state", "erase", user_ids="bob@example.com\n")

    assert (status, "1 traits erased" in output, "bob" in output) == (0, True, False), output
    files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in files if b"bob@" in path.read_bytes()]
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com"]
    assert sync(FakeTaskInstance("manual__3"))["destinations"][0]["planned"] == 0


def test_an_erasure_beside_a_copy_of_a_ledger_names_it_and_does_not_end_well(
    sandbox: Sandbox, sync: Sync, tmp_path: Path
) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", "bob@example.com"]
    sync()
    (app,) = (folder for folder in (tmp_path / "state").iterdir() if folder.is_dir())
    copy = shutil.copytree(app, app.with_name(f"{app.name}.bak"))

    status, output = run_step(tmp_path / "state", "erase", user_ids="bob@example.com\n")

    assert (status, "1 traits erased" in output, f"{copy}/c1/" in output, "it is a copy. NOT erased" in output) == (
        1,
        True,
        True,
        True,
    ), output
    shutil.rmtree(copy)
    status, output = run_step(tmp_path / "state", "erase", user_ids="bob@example.com\n")
    assert status == 0, output


@pytest.mark.parametrize("arguments", [["--state-path", "relative/path", "list"], ["nonsense"]])
def test_a_command_that_cannot_be_understood_fails(arguments: list[str]) -> None:
    ended = warm_python().run("-m", "airflow_provider_amplitude_segment", *arguments)

    assert ended.returncode > 0
    assert "Traceback" not in ended.stderr


def test_an_erasure_where_no_state_path_is_fails(tmp_path: Path) -> None:
    for command in ("list", "erase", "rollback"):
        status, output = run_step(tmp_path / "elsewhere", command, user_ids="ann\n" if command == "erase" else "")
        assert (status, "has no object amplitude-segment-state.json" in output) == (1, True), output
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("airflow_db")
def test_a_connection_in_airflows_database_is_found(
    sync: Sync, s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command in an interpreter of its own, where nothing is imported before."""
    state_path = f"s3://upkeep_s3@{bucket}/state"
    monkeypatch.setenv("AIRFLOW_CONN_UPKEEP_S3", s3_server.connection())
    sync(state_path=state_path)
    monkeypatch.delenv("AIRFLOW_CONN_UPKEEP_S3")
    # Both commands have one key; where the connection is not in the database, no other server responds.
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    added = warm_python().run("-m", "airflow", "connections", "add", "upkeep_s3", "--conn-json", s3_server.connection())
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "airflow_provider_amplitude_segment", "--state-path", state_path, "list"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert added.returncode == 0, added.stderr
    assert (ended.returncode, "commit 1 (newest)" in ended.stdout) == (0, True), ended.stderr
