"""The sandbox writes cohort files as Amplitude's destination does, whole or with faults."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fakes.s3_server import KEY, SECRET, S3Server

import airflow_provider_amplitude_segment.sandbox as package
from airflow_provider_amplitude_segment.sandbox import FileForm, Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.sandbox.cohort_files import FilesRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.sandbox import CohortFiles, FileSet

COHORT = "26umsb5"
SECONDS = FileForm("%Y-%m-%dT%H-%M-%S")


@pytest.fixture
def files(sandbox: Sandbox, tmp_path: Path) -> CohortFiles:
    """The destination of a running sandbox, which writes to a folder."""
    sandbox.cohort_files.write_to(tmp_path)
    return sandbox.cohort_files


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def users(folder: Path, made: FileSet, difftype: str) -> list[str]:
    (path,) = folder.glob(f"*_{made.cohort_id}_{made.stamp}_{difftype}*.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return [row["userID"] for row in csv.DictReader(file)]


def sync_twice(sandbox: Sandbox, clock: Any) -> FileSet:
    """Sync, let cat enter and ann exit, and sync an hour later."""
    sandbox.cohort_files.form = SECONDS
    sandbox.cohort_files.write(COHORT)
    sandbox.amplitude.cohorts[COHORT].user_ids = ["bob", "007", "cat"]
    clock.pass_by(3600)
    return sandbox.cohort_files.write(COHORT)


def test_a_set_is_three_files_with_the_documented_names_and_columns(files: CohortFiles, tmp_path: Path) -> None:
    files.routing_key = "eu"
    made = files.write(COHORT)

    assert names(tmp_path) == [
        f"187520_26umsb5_2026-11-18T11:40_{kind}_eu.csv" for kind in sorted(("entering", "exiting", "existing"))
    ]
    assert made.is_complete
    assert made.user_ids == {"ann", "bob", "007"}
    lines = (tmp_path / made.written[0]).read_text().splitlines()
    assert lines[0] == '"amplitudeID","userID"'
    assert [line.split(",")[1] for line in lines[1:]] == ['"ann"', '"bob"', '"007"']
    assert (tmp_path / made.written[1]).read_text().splitlines() == lines[:1]


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("last sync", {"ann", "bob", "007"}),
        ("today", {"bob", "007", "cat"}),
        ("stayed", {"bob", "007"}),
        ("ever", {"ann", "bob", "007", "cat"}),
    ],
)
def test_each_reading_of_existing_can_be_written(
    files: CohortFiles, sandbox: Sandbox, clock: Any, tmp_path: Path, existing: Any, expected: set[str]
) -> None:
    files.existing = existing
    made = sync_twice(sandbox, clock)

    assert users(tmp_path, made, "entering") == ["cat"]
    assert users(tmp_path, made, "exiting") == ["ann"]
    assert set(users(tmp_path, made, "existing")) == expected


def test_a_row_keeps_its_amplitude_id_and_repeated_users_have_several(
    files: CohortFiles, sandbox: Sandbox, clock: Any, tmp_path: Path
) -> None:
    cohort = sandbox.amplitude.cohorts[COHORT]
    cohort.anonymous, cohort.duplicates = 2, 1
    files.existing = "today"
    made = sync_twice(sandbox, clock)
    rows = (tmp_path / made.written[2]).read_text().splitlines()[1:]
    first = (tmp_path / files.sets[0].written[0]).read_text().splitlines()[1:]

    assert len(rows) == cohort.rows == 6
    assert len({row.split(",")[0] for row in rows}) == 6
    assert [row.split(",")[1] for row in rows].count('""') == 2
    assert {row for row in rows if '"007"' in row} == {row for row in first if '"007"' in row}


def test_the_form_of_a_file_can_be_chosen(files: CohortFiles, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.amplitude.cohorts[COHORT].properties = {"ann": {"plan": "a, b"}, "bob": {}}
    files.form = FileForm(
        "%Y-%m-%dT%H-%S",
        columns=("user_id", "amplitude_id", "amplitude_id"),
        property_keys=("plan",),
        source_apps=("Web", "App"),
        gzip=True,
        quoted=False,
        line_end="\r\n",
    )
    made = files.write(COHORT)
    lines = gzip.decompress((tmp_path / made.written[0]).read_bytes()).decode().split("\r\n")

    assert made.written[0] == "187520_26umsb5_2026-11-18T11-40_entering.csv"
    assert lines[0] == "user_id,amplitude_id,amplitude_id,plan (Web),plan (App)"
    assert lines[1].startswith("ann,")
    assert lines[1].endswith(',"a, b","a, b"')
    assert lines[2].endswith(",,")
    assert lines[3].endswith(",value 1,value 1")


def test_a_form_without_users_is_refused() -> None:
    with pytest.raises(ValueError, match="must be the user ID"):
        FileForm(columns=("amplitudeID",))


def test_a_late_file_is_there_when_the_set_is_finished(files: CohortFiles, tmp_path: Path, clock: Any) -> None:
    made = files.write(COHORT, fault="late")
    assert [name.rpartition("_")[2] for name in made.written] == ["entering.csv", "exiting.csv"]
    assert len(names(tmp_path)) == 2

    clock.pass_by(90)
    assert files.finish(COHORT) == [made]
    assert made.is_complete
    ages = [(tmp_path / name).stat().st_mtime - made.at for name in made.written]
    assert ages == [0, 0, 90]
    assert files.finish(COHORT) == []


def test_a_half_written_file_has_half_of_its_bytes_until_the_set_is_finished(
    files: CohortFiles, tmp_path: Path
) -> None:
    made = files.write(COHORT, fault="half-written")
    half = (tmp_path / made.unwritten[0][0]).read_bytes()
    whole = made.unwritten[0][1]
    files.finish(COHORT)

    assert half == whole[: len(whole) // 2]
    assert (tmp_path / made.written[2]).read_bytes() == whole


def test_a_contradictory_set_fits_the_listed_size_in_no_reading(
    files: CohortFiles, sandbox: Sandbox, clock: Any, tmp_path: Path
) -> None:
    cohort = sandbox.amplitude.cohorts[COHORT]
    cohort.user_ids = [f"user-{number}" for number in range(100)]
    files.write(COHORT)
    files.form = SECONDS
    clock.pass_by(3600)
    made = files.write(COHORT, fault="contradictory")
    existing = users(tmp_path, made, "existing")

    assert len(existing) == 50
    assert users(tmp_path, made, "entering") == users(tmp_path, made, "exiting") == []
    assert sandbox.amplitude.listed()[0]["size"] == 100


def test_an_overwritten_set_is_replaced_file_by_file(
    files: CohortFiles, sandbox: Sandbox, clock: Any, tmp_path: Path
) -> None:
    first = files.write(COHORT)
    sandbox.amplitude.cohorts[COHORT].user_ids = ["cat"]
    clock.pass_by(3600)
    second = files.write(COHORT, fault="overwritten")

    assert second.stamp == first.stamp
    assert len(names(tmp_path)) == 3
    assert users(tmp_path, second, "entering") == ["cat"]
    assert users(tmp_path, second, "exiting") == []
    files.finish(COHORT, files=1)
    assert users(tmp_path, second, "exiting") == ["ann", "bob", "007"]
    assert users(tmp_path, second, "existing") == []
    files.finish(COHORT, files=1)
    assert users(tmp_path, second, "existing") == ["ann", "bob", "007"]


def test_two_sets_of_one_second_have_one_name_and_the_second_stays(
    files: CohortFiles, sandbox: Sandbox, tmp_path: Path
) -> None:
    files.write(COHORT)
    sandbox.amplitude.cohorts[COHORT].user_ids.append("cat")
    second = files.write(COHORT)

    assert len(names(tmp_path)) == 3
    assert users(tmp_path, second, "entering") == ["cat"]


def test_amplitudes_stamps_repeat_within_an_hour_and_those_with_minutes_do_not(
    files: CohortFiles, clock: Any, tmp_path: Path
) -> None:
    for form in (FileForm(), SECONDS):
        files.form = form
        files.write(COHORT)
        clock.pass_by(60)
        files.write(COHORT)

    assert len(names(tmp_path)) == 3 + 6


def test_groups_archived_and_unknown_cohorts_and_a_missing_place_are_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.amplitude.cohorts |= {
        "old": SandboxCohort("old", "Old", ["ann"], archived=True),
        "groups": SandboxCohort("groups", "Accounts", ["acme"], group_type="Account"),
    }
    files = sandbox.cohort_files
    with pytest.raises(FilesRefused, match="no place"):
        files.write(COHORT)
    files.write_to(tmp_path)
    for refused in ("old", "groups", "none"):
        with pytest.raises(FilesRefused):
            files.write(refused)

    assert [made.cohort_id for made in files.write_all()] == [COHORT]
    assert sandbox.amplitude.exports_spent == 0


def test_a_reset_forgets_the_sets_and_leaves_the_files(files: CohortFiles, sandbox: Sandbox, tmp_path: Path) -> None:
    files.write(COHORT)
    sandbox.reset()

    assert files.sets == []
    assert len(names(tmp_path)) == 3
    assert users(tmp_path, files.write(COHORT), "entering") == ["ann", "bob", "007"]


def post(sandbox: Sandbox, path: str, **asked: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/sandbox/cohort-files/{path}", json=asked, timeout=20)


def test_scripts_write_finish_and_list_sets(files: CohortFiles, sandbox: Sandbox, tmp_path: Path) -> None:
    written = post(sandbox, COHORT, fault="late", sets=2).json()["sets"]
    finished = post(sandbox, f"{COHORT}/finish", files=1).json()
    listed = requests.get(f"{sandbox.url}/sandbox/cohort-files", timeout=20).json()

    assert [len(made["written"]) for made in written] == [2, 2]
    assert [made["unwritten"] for made in finished["sets"]] == [[], []]
    assert listed == {"place": str(tmp_path), "sets": [made.as_shown() for made in files.sets]}
    assert "ann" not in json.dumps(listed)


@pytest.mark.parametrize(
    ("path", "asked", "reason"),
    [
        ("none", {}, "no cohort 'none'"),
        (COHORT, {"fault": "lost"}, "takes one of late"),
        (COHORT, {"files": True}, "whole number"),
        (COHORT, {"falt": "late"}, "unknown: falt"),
    ],
)
def test_a_call_that_cannot_be_met_says_why(
    files: CohortFiles, sandbox: Sandbox, path: str, asked: dict[str, Any], reason: str
) -> None:
    refused = post(sandbox, path, **asked)

    assert refused.status_code == 400
    assert reason in refused.text
    assert files.sets == []


def test_a_place_that_fails_is_a_502_and_the_set_can_be_finished(
    files: CohortFiles, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    files.write_to(tmp_path / "file")
    assert post(sandbox, COHORT).status_code == 502

    files.write_to(tmp_path / "folder")
    files.finish(COHORT)
    assert len(names(tmp_path / "folder")) == 3


def test_a_schedule_writes_each_cohort_and_ends_with_the_sandbox(tmp_path: Path) -> None:
    with Sandbox.start([SandboxCohort(COHORT, "Power users", ["ann"])]) as sandbox:
        sandbox.cohort_files.write_to(tmp_path)
        with pytest.raises(ValueError, match="above 0"):
            sandbox.write_files_every(0)
        sandbox.write_files_every(0.01)
        wait_for(lambda: len(sandbox.cohort_files.sets) >= 3)
    assert "amplitude-segment-cohort-files" not in {thread.name for thread in threading.enumerate()}


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Run moto's S3, with one bucket."""
    with S3Server() as server:
        server.make_bucket("cohorts")
        yield server


def s3_options(s3: S3Server) -> dict[str, Any]:
    return {"key": KEY, "secret": SECRET, "endpoint_url": s3.url, "skip_instance_cache": True}


def test_files_are_written_to_s3(sandbox: Sandbox, s3: S3Server) -> None:
    sandbox.cohort_files.write_to("s3://cohorts/one", **s3_options(s3))
    written = post(sandbox, COHORT, fault="late").json()["sets"][0]
    assert list(s3.objects("cohorts/one")) == [f"one/{name}" for name in written["written"]]
    post(sandbox, f"{COHORT}/finish")

    kept = s3.objects("cohorts/one")
    assert sorted(kept) == sorted(f"one/{name}" for name in sandbox.cohort_files.sets[0].written)
    assert kept["one/187520_26umsb5_2026-11-18T11:40_entering.csv"].count(b"\n") == 4


def test_a_store_that_fails_is_a_502_and_the_set_can_be_finished(sandbox: Sandbox, s3: S3Server) -> None:
    sandbox.cohort_files.write_to("s3://cohorts/two", **s3_options(s3))
    s3.fail_next("PUT", "cohorts", 403, "AccessDenied")

    assert post(sandbox, COHORT).status_code == 502
    assert post(sandbox, f"{COHORT}/finish").json()["sets"][0]["unwritten"] == []


def started(*options: str, **environment: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "airflow_provider_amplitude_segment.sandbox", "--port", "0", "--members", "50"]
    env = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[2]), **environment}
    return subprocess.Popen([*program, *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603


def test_the_program_writes_files_to_s3_by_the_clock(s3: S3Server) -> None:
    """The four cohorts of users that are not archived, at the endpoint that the environment names."""
    aws = {"AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    options = ("--cohort-files", "s3://cohorts/three", "--cohort-files-every", "3600")
    with started(*options, **aws) as process:
        wait_for(lambda: len(s3.objects("cohorts/three")) == 12 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "Cohort files: s3://cohorts/three, project 187520" in printed


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--cohort-files-every", "60"), "needs --cohort-files"),
        (("--cohort-files", "folder", "--cohort-files-every", "0"), "seconds above 0"),
        (("--cohort-files", "nowhere://bucket"), "No cohort files can be written to nowhere://bucket"),
    ],
)
def test_the_program_refuses_places_and_cadences_that_are_none(options: tuple[str, ...], reason: str) -> None:
    with started(*options) as process:
        _, printed = process.communicate(timeout=20)

    assert process.returncode != 0
    assert reason in printed
