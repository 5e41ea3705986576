"""The commands that read a ledger, as programs, in the steps that docs/reference/cli.md gives."""

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from fakes.s3_server import S3Server
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.warm_python import warm_python

from airflow_provider_amplitude_segment.sandbox import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
HOSTILE = ["line\nbreak", 'it\'s "quoted"', "x" * 2_000, "🦩"]


def run_step(state: str | Path, command: str, *more: str, given: bytes = b"") -> tuple[int, str, str]:
    """Run the documented command line whose word this is; return its exit status and what it printed."""
    (line,) = re.findall(
        rf"^ *(?:.*\| *)?(python -m airflow_provider_amplitude_segment {command}\b.*)$", PAGE.read_text(), re.MULTILINE
    )
    words = line.partition("<")[0].replace("26umsb5", "c1").split()
    environment = {**os.environ, "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(state)}
    ended = warm_python().run(*words[1:], *more, environment=environment, given=given)
    # The warm Python has imported Airflow for unit tests, and each of its forks writes this line of its buffer again.
    output = re.sub(r"^.*Unit test configuration loaded.*\n", "", ended.stdout)
    return ended.returncode, output, ended.stderr


@pytest.fixture
def synced(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> Path:
    """The state path of a cohort with hostile users, of whom one is rejected."""
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", *HOSTILE]
    sandbox.segment.poisoned.add("line\nbreak")
    sync(on_rejected="warn")
    return tmp_path / "state"


def test_the_step_to_explain_names_the_run_and_never_the_user(synced: Path) -> None:
    status, output, errors = run_step(synced, "explain", given=b"ann@example.com\n")

    assert status == 0, errors
    assert "now: true under 'Power Users (c1)'" in output
    assert re.search(r"plan 1, true under 'Power Users \(c1\)', acknowledged, by DAG '.+', run '.+', task '.+'", output)
    assert "ann" not in output + errors


@pytest.mark.parametrize("user_id", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_id_is_the_whole_of_standard_input(synced: Path, user_id: str) -> None:
    status, output, errors = run_step(synced, "explain", "--json", given=f"{user_id}\n".encode())

    assert status == 0, errors
    (destination,) = json.loads(output)["destinations"]
    is_rejected = user_id == "line\nbreak"
    assert [event["outcome"] for event in destination["events"]] == ["rejected" if is_rejected else "acknowledged"]
    assert bool(destination["events"][0]["reason"]) is is_rejected
    for text in (user_id, json.dumps(user_id)[1:-1]):
        assert text not in output + errors


@pytest.mark.parametrize("given", [b"", b"\xff"])
def test_what_is_no_user_id_fails_without_a_traceback(synced: Path, given: bytes) -> None:
    status, output, errors = run_step(synced, "explain", given=given)

    assert (status, output, "The user ID on standard input cannot be used" in errors) == (1, "", True)
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", ["explain", "history"])
def test_an_unknown_cohort_or_project_fails_and_names_the_others(synced: Path, command: str) -> None:
    for more in (("--cohort", "other"), ("--app-id", "9")):
        status, output, errors = run_step(synced, command, *more, given=b"ann\n")
        assert (status, output, "There is no ledger of cohort" in errors) == (1, "", True), errors


def test_the_history_is_a_table_json_or_csv_of_the_same_rows(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "bob"]
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "cat", "dan"]
    sync(FakeTaskInstance("manual__2"))
    state = tmp_path / "state"

    status, table, errors = run_step(state, "history")
    rows: list[dict[str, Any]] = json.loads(run_step(state, "history", "--format", "json")[1])
    lines = list(csv.DictReader(io.StringIO(run_step(state, "history", "--format", "csv")[1])))

    assert status == 0, errors
    assert [(row["outcome"], row["members"], row["entered"], row["exited"]) for row in rows] == [
        ("committed", 2, 2, 0),
        ("committed", 3, 2, 1),
    ]
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == lines
    assert "run 'manual__2'" in rows[1]["run"]
    assert len(table.splitlines()) == 4
    assert table.splitlines()[1].split()[:5] == ["at", "outcome", "mode", "members", "known"]
    assert json.loads(run_step(state, "history", "--format", "json", "--limit", "1")[1]) == rows[1:]


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    for limit in ("0", "1001", "1_0", "x"):
        assert run_step(tmp_path, "history", "--limit", limit)[0] == 2


def test_a_ledger_in_a_bucket_is_explained_by_a_state_path_behind_the_command(
    sync: Sync, s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = f"s3://reading_s3@{bucket}/state"
    monkeypatch.setenv("AIRFLOW_CONN_READING_S3", s3_server.connection())
    sync(state_path=state)

    status, output, errors = run_step(tmp_path, "explain", "--state-path", state, given=b"ann")
    assert (status, "now: true" in output) == (0, True), errors
    status, output, errors = run_step(tmp_path, "history", "--format", "json", "--state-path", state)
    assert (status, [row["outcome"] for row in json.loads(output)]) == (0, ["committed"]), errors


def test_each_command_says_how_it_is_used() -> None:
    for command in ("list", "history", "explain", "rollback", "erase"):
        ended = warm_python().run("-m", "airflow_provider_amplitude_segment", command, "--help")
        assert (ended.returncode, "--state-path" in ended.stdout) == (0, True), ended.stderr
