"""The world of one history: a sandbox, a folder for the ledgers, time, and a cohort whose users move."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.state import read_state, state_query
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream, key_fingerprint
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort, SandboxSource
from airflow_provider_amplitude_segment.sandbox.cohorts import APP_ID
from faults.claim_book import ClaimBook
from faults.export_book import ExportBook
from faults.file_book import FileBook
from faults.silent_loss import LostUsers
from faults.virtual_time import VirtualTime
from faults.wire import Mail

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from faults.file_writer import FileWriter

COHORT_ID = "c1"
_KEYS = ("faultsWriteKey00000000000000001", "faultsWriteKey00000000000000002")
_HOST = "api.segment.io"

State = dict[tuple[str, str], tuple[bool | None, bool, int]]
"""By trait and user: the value last delivered, whether it is in doubt, how often it was rejected."""


class World:
    """Everything outside of a process; one at a time uses a sandbox.

    The workspace that the Public API shows has the first destination's source, and its space reads that source only. A
    second destination is in another workspace.
    """

    other_key = "faultsWriteKey00000000000000003"
    """A write key that no destination has."""

    def __init__(self, sandbox: Sandbox, folder: Path, users: list[str], *, destinations: int) -> None:
        self.sandbox = sandbox
        # One for the whole history: to open one takes longer than to read a ledger.
        self._engine = duckdb.connect(config={"threads": 1})
        self.time = VirtualTime()
        self.mail = Mail()
        self.book = ExportBook()
        self.file_book = FileBook(self.book)
        self.file_writer: FileWriter | None = None
        self.claims = ClaimBook()
        self.tokens = [0]
        self.root = folder / "state"
        self.store = LedgerStore(self.root)
        self.cohort = SandboxCohort(COHORT_ID, "Power Users", users)
        self.keys = {
            Destination(
                f"segment_{number}", f"dst-{number}", key_fingerprint=key_fingerprint(_HOST, key), host=_HOST
            ): key
            for number, key in enumerate(_KEYS[:destinations], start=1)
        }
        self.proved = next(iter(self.keys))
        self.lost = LostUsers()
        self._folder = folder
        self._numbers = itertools.count(1)
        sandbox.reset()
        sandbox.amplitude.cohorts = {COHORT_ID: self.cohort}
        sandbox.segment.sources = {
            key: SandboxSource(f"faultsSource{number:06}", f"faults-{number}", "Faults", [key])
            for number, key in enumerate(self.keys.values(), start=1)
        }
        self.source = sandbox.segment.sources[self.keys[self.proved]]
        sandbox.segment.loses_users = self.lost

    def forget_run(self, run_key: str) -> None:
        """Note that a run has ended: its next sync begins with an export, or a set of files, of its own."""
        self.book.forget(run_key)
        self.file_book.forget(run_key)

    def close(self) -> None:
        self._engine.close()

    def new_scratch(self) -> Path:
        scratch = self._folder / f"scratch-{next(self._numbers)}"
        scratch.mkdir(parents=True)
        return scratch

    def newest(self, destination: Destination) -> Plan | Commit | None:
        return self._ledger(destination).newest()

    def state(self, destination: Destination) -> State:
        """Return the ledger's state."""
        ledger, scratch = self._ledger(destination), self.new_scratch()
        path = read_state(self._engine, ledger, ledger.newest(), scratch)
        rows = self._engine.execute(
            f"SELECT trait, user_id, delivered, in_doubt, rejections FROM ({state_query(path)})"
        ).fetchall()
        state = {
            (trait, user): (delivered, in_doubt, rejections) for trait, user, delivered, in_doubt, rejections in rows
        }
        assert len(state) == len(rows), "a pair stands twice in the ledger's state"
        return state

    def acknowledged(self, destination: Destination, plan: Plan) -> set[tuple[str, str, bool]]:
        """Return the changes of a plan that its journals say were acknowledged, read without the package's help."""
        folder = self.root / self._ledger(destination).folder
        journals = [json.loads(file.read_bytes()) for file in folder.glob(f"acked-{plan.generation}-*.json")]
        positions = {p for entry in journals for first, last in entry["acked"] for p in range(first, last + 1)}
        changes = self._engine.execute(
            "SELECT trait, user_id, value FROM read_parquet($1)", [str(folder / plan.changes.name)]
        ).fetchall()
        return {changes[position] for position in positions}

    def has_commit(self, destination: Destination) -> bool:
        """Return whether the ledger has a commit."""
        return bool(self._ledger(destination).commits())

    def _ledger(self, destination: Destination) -> Ledger:
        return Ledger(self.store, Stream(str(APP_ID), COHORT_ID, destination).folder)
