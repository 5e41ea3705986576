"""The scratch folder is its owner's only, goes with the run, and what the worker's disk refuses says which disk."""

import logging
import os
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clients.conftest import Waits
from clients.test_amplitude import completed
from fakes.small_files import files_up_to
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.exceptions import EngineError, StateUnavailableError


@pytest.fixture(params=["a folder", "a file system"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerStore:
    """Return a store below ``state``, on a path or through fsspec."""
    root: Any = tmp_path / "state"
    file_system = SimpleNamespace(fs=LocalFileSystem(auto_mkdir=True), path=str(root))
    return LedgerStore(root if request.param == "a folder" else file_system)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Return a scratch folder in the temporary folder ``worker``."""
    (folder := tmp_path / "worker" / "amplitude-segment-x").mkdir(parents=True)
    return folder


def test_it_is_its_owners_only_and_goes_with_all_that_is_in_it() -> None:
    with open_scratch() as folder:
        (folder / "destination-0").mkdir()
        (folder / "destination-0" / "changes.parquet").write_bytes(b"rows")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    assert not folder.exists()


def test_a_temporary_folder_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python asks for it once and remembers it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))

    with pytest.raises(EngineError, match="No such file or directory") as refused, open_scratch():
        pass

    assert (refused.value.folder, refused.value.retryable) == (str(tmp_path / "gone"), True)


def test_a_worker_that_can_write_no_temporary_folder_is_told_which_ones_were_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)

    with files_up_to(0), pytest.raises(EngineError, match=r"No usable temporary directory found in \['") as refused:
        open_scratch().__enter__()

    assert refused.value.folder == os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - Python's own


def test_one_that_cannot_be_removed_is_a_warning_and_does_not_end_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(16, "Device or resource busy")

    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING), open_scratch() as folder:
        (folder / "export").write_bytes(b"rows")
        patched.setattr(os, "unlink", refuse)

    assert f"{folder} cannot be removed" in caplog.text
    (folder / "export").unlink()
    folder.rmdir()


def test_an_export_that_finds_no_room_is_no_cut_off_one_and_is_not_fetched_again(
    amplitude: AmplitudeClient, waits: Waits, scratch: Path
) -> None:
    request_id = completed(amplitude)

    with files_up_to(10), pytest.raises(EngineError, match="File too large") as refused:
        amplitude.download(request_id, scratch / "export")

    assert refused.value.folder == str(scratch.parent)
    assert waits.seconds == []
    assert not (scratch / "export").exists()


def test_a_full_state_path_and_a_full_scratch_folder_are_told_apart(
    store: LedgerStore, scratch: Path, tmp_path: Path
) -> None:
    store.put("a/snapshot", b"rows" * 1000)
    (scratch / "rows").write_bytes(b"rows" * 1000)

    with files_up_to(100):
        with pytest.raises(StateUnavailableError, match="Give it more space, inodes or quota") as of_state:
            store.put_file("a/other", scratch / "rows")
        with pytest.raises(EngineError) as of_scratch:
            store.get_file("a/snapshot", scratch / "copy")

    assert of_state.value.path == str(store._root)
    assert of_state.value.retryable
    assert of_scratch.value.folder == str(tmp_path / "worker")
    assert store.get("a/snapshot") == b"rows" * 1000


def test_a_scratch_folder_that_is_gone_is_no_missing_object_and_no_fault_of_the_state_path(
    store: LedgerStore, scratch: Path
) -> None:
    store.put("a/snapshot", b"rows")
    scratch.rmdir()

    with pytest.raises(EngineError, match="No such file or directory"):
        store.get_file("a/snapshot", scratch / "copy")
    with pytest.raises(EngineError, match="No such file or directory"):
        store.put_file("a/other", scratch / "rows")
    assert not scratch.exists()
    assert store.names("a") == ["snapshot"]


def test_an_object_that_is_not_there_leaves_no_file_behind(store: LedgerStore, scratch: Path) -> None:
    store.put("a/snapshot", b"rows")

    assert not store.get_file("a/other", scratch / "copy")
    assert list(scratch.iterdir()) == []
