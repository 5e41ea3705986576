"""The ledger's place: whole objects, exclusive creation, private files, and errors that say whether they may pass."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError


def test_what_is_put_is_got_and_listed_and_deleted(tmp_path: Path) -> None:
    store = LedgerStore(tmp_path / "state")
    assert (store.get("a/b/plan-1.json"), store.names("a/b")) == (None, [])

    store.put("a/b/plan-1.json", b"one")
    store.put("a/b/plan-1.json", b"two")

    assert store.get("a/b/plan-1.json") == b"two"
    assert store.names("a/b") == ["plan-1.json"]
    assert (store.folders("a"), store.folders("a/b"), store.folders("no")) == (["b"], [], [])
    store.delete("a/b/plan-1.json")
    store.delete("a/b/plan-1.json")
    assert store.names("a/b") == []


def test_one_of_many_who_create_the_same_object_wins(tmp_path: Path) -> None:
    store = LedgerStore(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.create("a/claim-1.json", b"%d" % number), range(40)))

    assert sum(won) == 1
    assert store.get("a/claim-1.json") == b"%d" % won.index(True)


def test_a_file_system_without_hard_links_creates_exclusively_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = LedgerStore(tmp_path)

    assert store.create("a/claim-1.json", b"mine")
    assert not store.create("a/claim-1.json", b"yours")
    assert store.get("a/claim-1.json") == b"mine"
    assert store.names("a") == ["claim-1.json"]
    assert stat.S_IMODE((tmp_path / "a" / "claim-1.json").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    store = LedgerStore(tmp_path)
    store.put("a/snapshot", b"whole")

    with pytest.raises(TypeError):
        store.put("a/snapshot", "text is refused when the file is open already")  # type: ignore[arg-type]

    assert store.get("a/snapshot") == b"whole"
    assert store.names("a") == ["snapshot"]


def test_a_place_that_is_none_is_named_and_lasting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(StatePathError) as refused:
        LedgerStore(tmp_path / "file").put("a/b", b"")

    assert not refused.value.retryable
    assert str(tmp_path / "file") in str(refused.value)


def test_an_error_that_may_pass_is_retried() -> None:
    class Flaky:
        path = "/"

        @property
        def fs(self) -> object:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StateUnavailableError) as failed:
        LedgerStore(Flaky()).get("a")
    assert failed.value.retryable
