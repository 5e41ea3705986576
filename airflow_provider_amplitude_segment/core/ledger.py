"""The ledger: what Segment was told about one cohort at one destination.

A folder of objects that are written once (a journal by its one owner again), data first, then the ``.json`` that names
its files with size and SHA-256:

    plan-n.json    changes-n.parquet [base-n.parquet]   what is about to be told, and the state it starts from
    acked-n-c.json                                      journal of plan n by claim c; readers take the union
    commit-n.json  snapshot-n-c.parquet                 the state after
    current.json                                        a hint at the newest commit

The state is that of the highest ``n`` with a plan or a commit (design 4). Objects without their ``.json`` are ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.entry import Commit, Plan, StoredFile
from airflow_provider_amplitude_segment.core.journal import Journal, Refusal
from airflow_provider_amplitude_segment.core.ranges import Ranges
from airflow_provider_amplitude_segment.core.scratch import on_scratch
from airflow_provider_amplitude_segment.exceptions import (
    ClaimLostError,
    LedgerDamagedError,
    LedgerFormatError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.stream import Store

FORMAT = 1
"""The newest format of entries that this version reads, and the one it writes."""

_PLAN = re.compile(r"plan-(\d+)\.json")
_COMMIT = re.compile(r"commit-(\d+)\.json")


def entry_number(name: str) -> int:
    """Return the generation in an entry's name."""
    return int(name.partition("-")[2].partition(".")[0])


class Ledger:
    """One stream's folder in a store. Nothing may be read from it before its claim is won."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self.folder = folder

    def newest(self) -> Plan | Commit | None:
        """Return the entry that the state is taken from: the commit, or the plan without one, of the highest number.

        Raises:
            LedgerFormatError: an entry is of a newer format.
            LedgerDamagedError: an entry cannot be read.
        """
        commits, plans = self._numbers()
        highest = max(commits | plans, default=0)
        if highest in commits:
            return self.commit(highest)
        return self._plan(highest) if highest else None

    def newest_number(self) -> int:
        """Return the generation of the newest entry without reading it; 0 where there is none."""
        commits, plans = self._numbers()
        return max(commits | plans, default=0)

    def commits(self) -> list[int]:
        """Return the generations of the commits that are kept, the oldest first."""
        return sorted(self._numbers()[0])

    def names(self) -> list[str]:
        """Return the names of the objects in the folder itself, in any order."""
        return self._store.names(self.folder)

    def names_beside(self, folder: str) -> list[str]:
        """Return the names of the files for people in ``rejected`` or ``dry-runs``, in any order."""
        return self._store.names(f"{self.folder}/{folder}")

    def entries(self) -> list[str]:
        """Return the names of the plans and commits, in any order."""
        return [name for name in self.names() if _COMMIT.fullmatch(name) or _PLAN.fullmatch(name)]

    def entry(self, name: str) -> Plan | Commit:
        """Return the plan or the commit of a name."""
        if match := _COMMIT.fullmatch(name):
            return self.commit(int(match[1]))
        return self._plan(int(name.removeprefix("plan-").removesuffix(".json")))

    def readable_entries(self) -> list[Plan | Commit]:
        """Return the plans and commits that are neither damaged nor of a newer format, in any order."""
        entries = []
        for name in self.entries():
            with suppress(LedgerDamagedError, LedgerFormatError):
                entries.append(self.entry(name))
        return entries

    def take_away(self, name: str) -> None:
        """Remove an object that nothing needs any more."""
        self._store.delete(f"{self.folder}/{name}")

    def journal(self, plan: Plan) -> Journal:
        """Return how far a plan was told, over all claims that worked on it."""
        own = re.compile(rf"acked-{plan.generation}-\d+\.json")
        journal = Journal()
        for name in sorted(self._store.names(self.folder)):
            if own.fullmatch(name):
                journal = journal.union(self._journal(name))
        return journal

    def write_plan(self, plan: Plan) -> None:
        """Write ``plan-n.json``; its files must stand already."""
        self._write(f"plan-{plan.generation}.json", dataclasses.asdict(plan))

    def write_journal(self, plan: Plan, claim: int, journal: Journal) -> None:
        """Write what claim ``claim`` knows of a plan over what it wrote before."""
        refused = [[r.position, r.status, r.reason] for r in journal.refused.values()]
        self._write(f"acked-{plan.generation}-{claim}.json", {"acked": journal.acked.pairs, "refused": refused})

    def write_commit(self, commit: Commit) -> None:
        """Write ``commit-n.json``, then the hint at it; its snapshot must stand already.

        Raises:
            ClaimLostError: another owner has committed this plan.
        """
        content = _encode(dataclasses.asdict(commit))
        if not self._store.create(f"{self.folder}/commit-{commit.generation}.json", content):
            raise ClaimLostError(commit.claim, None)
        if commit.told_generation == commit.generation:
            self.set_hint(commit.generation)

    def hint(self) -> int:
        """Return the generation of the newest commit as ``current.json`` has it; 0 where that says nothing."""
        content = self._store.get(f"{self.folder}/current.json")
        try:
            return int(json.loads(content or b"")["generation"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return 0

    def set_hint(self, generation: int) -> None:
        """Write ``current.json``."""
        self._write("current.json", {"generation": generation})

    def keep(self, name: str, path: Path) -> StoredFile:
        """Put a local file into the ledger, and return what an entry has to say of it."""
        digest, size = _digest(path)
        self._store.put_file(f"{self.folder}/{name}", path)
        return StoredFile(name, size, digest)

    def fetch(self, stored: StoredFile, to: Path) -> Path:
        """Copy a file of the ledger to the worker's disk.

        Raises:
            LedgerDamagedError: it is missing, or not what its entry says.
        EngineError: the worker's disk does not take it.
        """
        path = f"{self.folder}/{stored.name}"
        if not self._store.get_file(path, to):
            raise LedgerDamagedError(self._store.locate(path), "is missing")
        if _digest(to)[0] != stored.sha256:
            raise LedgerDamagedError(self._store.locate(path), "has another checksum than its entry says")
        return to

    def put_report(self, name: str, report: Mapping[str, Any]) -> None:
        """Write ``reports/<name>.json``."""
        self._write(f"reports/{name}.json", dict(report))

    def put_beside(self, name: str, path: Path) -> str:
        """Put a file for people (rejected users, planned changes) into the folder, and return where it is."""
        self._store.put_file(f"{self.folder}/{name}", path)
        return self._store.locate(f"{self.folder}/{name}")

    def _plan(self, generation: int) -> Plan:
        entry = self._read(name := f"plan-{generation}.json")
        try:
            base = StoredFile(**entry["base"]) if entry["base"] else None
            return Plan(**{**entry, "changes": StoredFile(**entry["changes"]), "base": base})
        except (KeyError, TypeError):
            raise LedgerDamagedError(self._where(name), "lacks something a plan has") from None

    def _journal(self, name: str) -> Journal:
        entry = self._read(name)
        try:
            refused = {int(p): Refusal(int(p), status, reason) for p, status, reason in entry["refused"]}
            Ranges.of((p, p) for p in refused)  # raises where one is no position
            return Journal(Ranges.of((int(first), int(last)) for first, last in entry["acked"]), refused)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise LedgerDamagedError(self._where(name), "lacks something a journal has") from None

    def _numbers(self) -> tuple[set[int], set[int]]:
        """Return the generations of commits and of plans."""
        names = self.entries()
        commits = {int(match[1]) for name in names if (match := _COMMIT.fullmatch(name))}
        return commits, {int(match[1]) for name in names if (match := _PLAN.fullmatch(name))}

    def commit(self, generation: int) -> Commit:
        """Return a commit; raises as ``newest`` does."""
        entry = self._read(name := f"commit-{generation}.json")
        try:
            return Commit(**{**entry, "snapshot": StoredFile(**entry["snapshot"])})
        except (KeyError, TypeError):
            raise LedgerDamagedError(self._where(name), "lacks something a commit has") from None

    def _read(self, name: str) -> dict[str, Any]:
        content = self._store.get(f"{self.folder}/{name}")
        if content is None:
            raise LedgerDamagedError(self._where(name), "is missing")
        try:
            entry = json.loads(content)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            raise LedgerDamagedError(self._where(name), "is no JSON object")
        found = entry.pop("format", None)
        if not isinstance(found, int) or found > FORMAT:
            raise LedgerFormatError(self._where(name), found, FORMAT)
        return entry

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        self._store.put(f"{self.folder}/{name}", _encode(entry))

    def _where(self, name: str) -> str:
        return self._store.locate(f"{self.folder}/{name}")


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file in a scratch folder."""
    with on_scratch(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _encode(entry: dict[str, Any]) -> bytes:
    return json.dumps({"format": FORMAT, **entry}).encode()
