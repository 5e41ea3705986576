"""The world of one history: a sandbox, a folder for the ledgers, time, and a cohort whose users move."""

from __future__ import annotations

import atexit
import functools
import itertools
from typing import TYPE_CHECKING

import duckdb
from faults.export_book import ExportBook
from faults.virtual_time import VirtualTime
from faults.wire import Mail

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.ledger import Commit, Ledger, Plan
from airflow_provider_amplitude_segment.core.state import read_state, state_query
from airflow_provider_amplitude_segment.core.stream import Destination, Stream
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.sandbox.cohorts import APP_ID

if TYPE_CHECKING:
    from pathlib import Path

COHORT_ID = "c1"
_KEYS = ("faultsWriteKey00000000000000001", "faultsWriteKey00000000000000002")

State = dict[tuple[str, str], tuple[bool | None, bool, int]]
"""By trait and user: what Segment was told, whether that is in doubt, how often refused."""


@functools.cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Return the engine that reads the ledgers of all histories; to open one takes longer than a sync."""
    atexit.register(_engine.cache_clear)
    return duckdb.connect(config={"threads": 1})


class World:
    """Everything outside of a process; one at a time uses a sandbox."""

    def __init__(self, sandbox: Sandbox, folder: Path, users: list[str], *, destinations: int) -> None:
        self.sandbox = sandbox
        self._engine = _engine()
        self.time = VirtualTime()
        self.mail = Mail()
        self.book = ExportBook()
        self.tokens = [0]
        self.root = folder / "state"
        self.store = LedgerStore(self.root)
        self.cohort = SandboxCohort(COHORT_ID, "Power Users", users)
        self.keys = {
            Destination(f"segment_{number}", f"dst-{number}", key_fingerprint=f"fp-{number}"): key
            for number, key in enumerate(_KEYS[:destinations], start=1)
        }
        self._folder = folder
        self._numbers = itertools.count(1)
        sandbox.reset()
        sandbox.amplitude.cohorts = {COHORT_ID: self.cohort}

    def new_scratch(self) -> Path:
        scratch = self._folder / f"scratch-{next(self._numbers)}"
        scratch.mkdir(parents=True)
        return scratch

    def newest(self, destination: Destination) -> Plan | Commit | None:
        return self._ledger(destination).newest()

    def state(self, destination: Destination) -> State:
        """Return what the ledger says that Segment was told."""
        ledger, scratch = self._ledger(destination), self.new_scratch()
        path = read_state(self._engine, ledger, ledger.newest(), scratch)
        rows = self._engine.execute(f"FROM ({state_query(path)})").fetchall()
        state = {(trait, user): (told, in_doubt, refused) for trait, user, told, in_doubt, refused in rows}
        assert len(state) == len(rows), "a pair stands twice in the ledger's state"
        return state

    def _ledger(self, destination: Destination) -> Ledger:
        return Ledger(self.store, Stream(str(APP_ID), COHORT_ID, destination).folder)
