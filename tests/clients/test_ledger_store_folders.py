"""fsspec file systems with real folders: made first, written beside and renamed, created exclusively or refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import StatePathError


class Mounted(LocalFileSystem):
    """A file system that is no bucket store, and makes no folder by itself."""

    cachable = False


class WrittenMeanwhile(Mounted):
    """A file system on which another run has created an object and writes its content while it is first read."""

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        seen = bytes(super().cat_file(path, *args, **kwargs))
        if not seen:
            self.pipe_file(path, b"theirs")
        return seen


class Hdfs(Mounted):
    """As fsspec's Arrow file systems: it opens to write or to read, and in no other way."""

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if "x" in mode:
            raise ValueError(f"unsupported mode for Arrow filesystem: {mode!r}")
        return super()._open(path, mode, **kwargs)


def store_on(fs: Any, path: object) -> LedgerStore:
    return LedgerStore(SimpleNamespace(fs=fs, path=str(path)))


def test_folders_are_made_and_objects_are_written_over(tmp_path: Path) -> None:
    store = store_on(Mounted(), tmp_path / "state")
    assert (store.get("a/b/plan-1.json"), store.names("a/b")) == (None, [])
    (tmp_path / "changes").write_bytes(b"rows")

    store.put("a/b/plan-1.json", b"one")
    store.put("a/b/plan-1.json", b"two")
    store.put_file("a/c/changes", tmp_path / "changes")

    assert store.get("a/b/plan-1.json") == b"two"
    assert store.get("a/c/changes") == b"rows"
    assert (store.names("a/b"), sorted(store.names("a"))) == (["plan-1.json"], ["b", "c"])
    assert (sorted(store.folders("a")), store.folders("a/b"), store.folders("no")) == (["b", "c"], [], [])
    store.delete("a/b/plan-1.json")
    store.delete("a/b/plan-1.json")
    assert store.names("a/b") == []


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    store = store_on(Mounted(), tmp_path)
    store.put("a/snapshot", b"whole")

    with pytest.raises(StatePathError):
        store.put("a/snapshot", "text is refused when the file is open already")  # type: ignore[arg-type]

    assert store.get("a/snapshot") == b"whole"
    assert store.names("a") == ["snapshot"]


def test_one_of_many_who_create_the_same_object_wins(tmp_path: Path) -> None:
    store = store_on(Mounted(), tmp_path)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.create("a/claim-1.json", b"%d" % number), range(40)))

    assert sum(won) == 1
    assert store.get("a/claim-1.json") == b"%d" % won.index(True)


def test_an_object_that_another_run_is_just_writing_is_theirs_and_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "claim-1.json").touch()
    store = store_on(WrittenMeanwhile(), tmp_path)

    assert not store.create("a/claim-1.json", b"ours")
    assert store.get("a/claim-1.json") == b"theirs"


def test_a_file_system_that_cannot_create_exclusively_is_refused(tmp_path: Path) -> None:
    store = store_on(Hdfs(), tmp_path)

    with pytest.raises(StatePathError, match="two runs could claim one cohort") as refused:
        store.create("a/claim-1.json", b"ours")
    assert not refused.value.retryable
