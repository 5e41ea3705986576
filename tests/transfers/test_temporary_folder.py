"""The worker's temporary folder: its name makes no difference, and its errors state the room that is needed."""

import io
import sys
import tempfile
from pathlib import Path

import pytest
from fakes.small_files import files_up_to
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.__main__ import main
from airflow_provider_amplitude_segment.exceptions import EngineError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox

TRAIT = "Power Users (c1)"


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the worker a temporary folder, of a name that a test may choose."""
    (folder := tmp_path / "worker" / getattr(request, "param", "tmp")).mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def users(count: int) -> list[str]:
    return [f"user-{number:06d}@example.com" for number in range(count)]


def ledger_of(capsys: pytest.CaptureFixture[str], state: Path) -> str:
    assert main(["--state-path", str(state), "list"]) == 0
    return next(line for line in capsys.readouterr().out.splitlines() if "/c1/" in line)


@pytest.mark.parametrize("worker", ["user_id=airflow", "delivered=true/a*b/it's [x] {a,b} 100%"], indirect=True)
def test_an_operator_and_the_commands_do_their_work_below_any_name(
    sandbox: Sandbox, sync: Sync, retire: Sync, worker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = sandbox.amplitude.cohorts["c1"]
    cohort.user_ids, cohort.gzip = users(300), True
    sync()
    cohort.user_ids = users(300)[20:]
    sync(FakeTaskInstance("manual__2"), max_exit_ratio=None)
    ledger = ledger_of(capsys, tmp_path / "state")
    assert main(["--state-path", str(tmp_path / "state"), "rollback", ledger, "--to", "1"]) == 0

    assert sync(FakeTaskInstance("manual__3"), max_exit_ratio=None)["destinations"][0]["in_doubt"] == 20
    assert sandbox.compare("c1").equal
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set(users(300)[20:])
    assert retire()["destinations"][0]["planned"] == 300
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()
    assert list(worker.iterdir()) == []


@pytest.mark.parametrize(("is_compressed", "size", "room"), [(False, 20_000, "4 MB"), (True, 100_000, "3 MB")])
def test_a_full_disk_fails_the_try_with_the_folder_and_the_room_and_the_next_one_delivers(
    *, is_compressed: bool, size: int, room: str, sandbox: Sandbox, sync: Sync, worker: Path, ti: FakeTaskInstance
) -> None:
    """At the download, where the room is by Amplitude's list, and without gzip, where it is by the export."""
    sandbox.amplitude.cohorts["c1"].user_ids = users(5000)
    sandbox.amplitude.cohorts["c1"].gzip = is_compressed

    with files_up_to(size), pytest.raises(EngineError, match="File too large") as failed:
        sync()

    assert (failed.value.folder, failed.value.kind) == (str(worker), "OSError")
    assert f"This work needs about {room} there." in str(failed.value)
    assert ti.xcoms["sync_report"]["destinations"][0]["error"] == str(failed.value)
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()
    assert list(worker.iterdir()) == []
    sync(FakeTaskInstance(try_number=2))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set(users(5000))
    assert sandbox.amplitude.exports_spent == 1


def test_the_commands_name_the_folder_too(
    sync: Sync,
    worker: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sync()
    sync(FakeTaskInstance("manual__2"), sync_mode="full")
    ledger = ledger_of(capsys, tmp_path / "state")

    for words in (["rollback", ledger, "--to", "1"], ["erase"]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"bob\n")))
        monkeypatch.setattr(tempfile, "tempdir", str(worker / "gone"))
        assert main(["--state-path", str(tmp_path / "state"), *words]) == 1
        said = capsys.readouterr().err
        assert f"The worker's temporary folder {worker / 'gone'} cannot be used: No such file or directory" in said
        assert "bob" not in said
