"""The ledger's real store, as a process that may meet accidents sees it."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_amplitude_segment.exceptions import StateUnavailableError
from faults.process import RUN, Killed, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from faults.process import Process
    from faults.world import World

T = TypeVar("T")

_KINDS = {"plan": "plan", "acked": "journal", "commit": "commit", "current": "hint", "changes": "file", "base": "file"}
_FIRST_WORD = re.compile(r"[a-z]+")


def _kind(name: str) -> str:
    """Return what an object is.

    >>> [_kind(name) for name in ("1/c/d/plan-3.json", "1/c/runs/a.json", "1/c/d/reports/3.json", "1/c/d/claim-3.json")]
    ['plan', 'record', 'report', 'claim']
    >>> _kind("amplitude-segment-state.json")
    'mark'
    """
    folder, _, last = name.rpartition("/")
    if not folder:
        return "mark"
    if folder.endswith("/runs"):
        return "record"
    if folder.endswith(("/reports", "/rejected", "/dry-runs", "/verification")):
        return "report"
    word = _FIRST_WORD.match(last)
    first = word[0] if word else last
    return _KINDS.get(first, "file" if first == "snapshot" else first)


class FaultyStore:
    """Each operation is a step of ``process``; what it does, the real store does."""

    def __init__(self, world: World, process: Process) -> None:
        self._store = world.store
        self._root = world.root
        self._process = process
        self._world = world

    def put(self, name: str, content: bytes) -> None:
        if _kind(name) == "plan":
            self._world.book.note_plan(_place(name), content)

        def put() -> None:
            self._store.put(name, content)
            self._note(name, content)

        self._write(name, put)

    def put_file(self, name: str, path: Path) -> None:
        self._write(name, lambda: self._store.put_file(name, path))

    def create(self, name: str, content: bytes) -> bool:
        def create() -> bool:
            created = self._store.create(name, content)
            if created:
                self._note(name, content)
            return created

        created = self._write(name, create)
        if created and _kind(name) == "claim":
            self._process.claims[_place(name)] = json.loads(content)["generation"]
        return created

    def get(self, name: str) -> bytes | None:
        return self._take(name, "read", lambda: self._store.get(name))

    def get_file(self, name: str, to: Path) -> bool:
        return self._take(name, "fetch", lambda: self._store.get_file(name, to))

    def names(self, folder: str) -> list[str]:
        return self._take(f"{folder}/", "look", lambda: self._store.names(folder))

    def folders(self, folder: str) -> list[str]:
        return self._take(f"{folder}/", "look", lambda: self._store.folders(folder))

    def delete(self, name: str) -> None:
        kind = "forget" if _kind(name) == "record" else "prune"
        self._take(name, kind, lambda: self._store.delete(name))

    def locate(self, name: str) -> str:
        return self._store.locate(name)

    def _note(self, name: str, content: bytes) -> None:
        if _kind(name) == "claim":
            self._world.claims.note(_place(name), content, self._process, self._world.time.seconds)
        if _kind(name) == "commit":
            self._world.book.note_commit(_place(name), content)
        if _kind(name) == "record":
            self._world.file_book.note_record(self._process, content, self._world.time.seconds)

    def _write(self, name: str, write: Callable[[], T]) -> T:
        kind = "renewal" if threading.current_thread().name == "claim-renewal" else _kind(name)
        return self._take(name, kind, write, writes=True)

    def _take(self, name: str, kind: str, operate: Callable[[], T], *, writes: bool = False) -> T:
        with self._process.step(Step(_place(name), kind, of_store=True, writes=writes)) as accident:
            if accident == "torn write":
                self._leave_half(name)
            if accident == "state path failed":
                raise StateUnavailableError(str(self._root), "Input/output error")
            done = operate()
            if kind == "record" and writes:
                self._process.has_unsaved_export = False
            if kind == "forget":
                self._process.has_forgotten = True
            if accident == "state path failed late":
                raise StateUnavailableError(str(self._root), "Input/output error after the write")
            return done

    def _leave_half(self, name: str) -> None:
        """Die as a writer dies on a file system: half the object stands beside its place, none in it."""
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (target.parent / f".{target.name}.dead").write_bytes(b'{"package": "airflow-provider-ampl')
        self._process.is_dead = True
        raise Killed


def _place(name: str) -> str:
    folders = name.split("/")
    # The mark of the state path is no destination's, and the folders above the ledgers are none either.
    return RUN if len(folders) < 3 or folders[2] in {"runs", ""} else folders[2]
