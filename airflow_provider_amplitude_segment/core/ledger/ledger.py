"""The ledger: the folder with the state of one cohort at one destination.

Objects are written once, except that a journal's owner writes it again. Data is written first, then the ``.json`` that
names its files with size and SHA-256:

    plan-n.json    changes-n.parquet [base-n.parquet]   the changes to deliver, and the state they start from
    acked-n-c.json                                      journal of plan n by claim c; readers take the union
    commit-n.json  snapshot-n-c.parquet                 the state after
    current.json                                        a hint at the newest commit

The state is that of the entry on which the highest claim worked (``entry_order``): the plan or commit of
the highest ``n``, unless a later claim resumed an earlier plan. Objects without their ``.json`` are ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import seconds_ahead
from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.core.ledger.claim import claim_lost
from airflow_provider_amplitude_segment.core.ledger.entry import (
    Commit,
    Journal,
    Plan,
    StoredFile,
    TraitOrigin,
)
from airflow_provider_amplitude_segment.core.ledger.entry_order import entries_of
from airflow_provider_amplitude_segment.core.ledger.event_columns import EventJournal, EventTerms
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    CURRENT,
    SIDE_FOLDERS,
    ObjectName,
    foreign_names,
    foreign_names_beside,
    objects_of,
    parse_object,
    report_file,
    verify_report_file,
)
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import (
    decode_entry,
    encode_entry,
    is_foreign,
    read_entry,
    refuse_foreign,
)
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerFormatError, StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.stream import Store


class Ledger:
    """One stream's folder in a store. A run claims the stream before it reads the state from it."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self.folder = folder

    def newest(self) -> Plan | Commit | None:
        """Return the entry with the state: the newest one, as ``entries_of`` orders them.

        Raises:
            LedgerFormatError: the entry has another format.
            LedgerDamagedError: the entry cannot be read, or another program wrote it.
        """
        entries = self.entries()
        return self.entry(entries[-1]) if entries else None

    def newest_number(self) -> int:
        """Return the generation of the newest entry, by its name; 0 where there is none."""
        entries = self.entries()
        return entries[-1].generation if entries else 0

    def commits(self) -> list[int]:
        """Return the generations of the commits that are kept, the oldest first."""
        return [commit.generation for commit in objects_of(self.names(), "commit")]

    def names(self) -> list[str]:
        """Return the names of the objects in the folder itself, in any order."""
        return self._store.names(self.folder)

    def names_beside(self, folder: str) -> list[str]:
        """Return the names of the files in one of the ledger's side folders, in any order."""
        return self._store.names(f"{self.folder}/{folder}")

    def entries(self) -> list[ObjectName]:
        """Return the names of the plans and commits, the oldest first, as ``entries_of`` orders them."""
        return entries_of(self.names())

    def entry(self, name: ObjectName) -> Plan | Commit:
        """Return the plan or the commit of a name."""
        return self.commit(name.generation) if name.kind == "commit" else self._plan(name.generation)

    def is_foreign(self, name: str) -> bool:
        """Return whether another program wrote an object that has an entry's name."""
        return is_foreign(self._store.get(f"{self.folder}/{name}"))

    def foreign(self) -> list[str]:
        """Return the objects of other programs in the folder and its side folders.

        An entry is known by its mark, any other object by its name.
        """
        names = self.names()
        entries = sorted(name for name in names if (found := parse_object(name)) and not found.is_data)
        beside = {folder: foreign_names_beside(folder, self.names_beside(folder)) for folder in SIDE_FOLDERS}
        return [
            *foreign_names(names),
            *filter(self.is_foreign, entries),
            *(f"{folder}/{name}" for folder, found in beside.items() for name in found),
        ]

    def readable_entries(self) -> list[Plan | Commit]:
        """Return the plans and commits that this version can read, the oldest first, as ``entries`` orders them."""
        entries = []
        for name in self.entries():
            with suppress(LedgerDamagedError, LedgerFormatError):
                entries.append(self.entry(name))
        return entries

    def delete(self, name: str) -> None:
        """Delete an object of the ledger."""
        self._store.delete(f"{self.folder}/{name}")

    def journal(self, plan: Plan) -> Journal:
        """Return how far a plan is delivered, over all claims that worked on it."""
        journal = Journal()
        for name in objects_of(self.names(), "acked"):
            if name.generation == plan.generation:
                journal = journal.union(self._journal(str(name)))
        return journal

    def write_plan(self, plan: Plan) -> None:
        """Write ``plan-n.json``; its files must exist."""
        entry = dataclasses.asdict(plan)
        if plan.events is None:
            del entry["events"]
        self._write(str(ObjectName("plan", plan.generation)), entry)

    def write_journal(self, plan: Plan, claim: int, journal: Journal) -> None:
        """Write the journal of a plan by claim ``claim``, over the one that it wrote before."""
        rejected = [[r.position, r.status, r.reason] for r in journal.rejected.values()]
        name = str(ObjectName("acked", plan.generation, claim))
        events = {"events": journal.events.as_entry()} if journal.events != EventJournal() else {}
        self._write(name, {"acked": journal.acked.pairs, "rejected": rejected, **events})

    def write_commit(self, commit: Commit) -> None:
        """Write ``commit-n.json``, then the hint at it; its snapshot must exist.

        Raises:
            ClaimLostError: another run committed under this generation.
        """
        entry = dataclasses.asdict(commit)
        if not commit.follows_no_sync:
            del entry["follows_no_sync"]
        if not self._store.create(f"{self.folder}/{ObjectName('commit', commit.generation)}", encode_entry(entry)):
            raise claim_lost(self._store, self.folder, commit.claim)
        if commit.delivered_generation == commit.generation:
            self.set_head(commit.generation)

    def head(self) -> int:
        """Return the generation of the newest commit, or first new plan, by ``current.json``; 0 where it has none.

        Raises:
            LedgerDamagedError: another program wrote it.
            LedgerFormatError: it has another format.
        """
        content = self._store.get(f"{self.folder}/{CURRENT}")
        refuse_foreign(content, self.locate(CURRENT))
        try:
            return int((decode_entry(content) or {})["generation"])
        except (ValueError, TypeError, KeyError, OverflowError):
            return 0

    def set_head(self, generation: int) -> None:
        """Write ``current.json``."""
        self._write(CURRENT, {"generation": generation})

    def store_file(self, name: str, path: Path) -> StoredFile:
        """Put a local file into the ledger, and return its name, size and checksum for an entry."""
        digest, size = _digest(path)
        self._store.put_file(f"{self.folder}/{name}", path)
        return StoredFile(name, size, digest)

    def load_file(self, stored: StoredFile, to: Path) -> Path:
        """Copy a file of the ledger to the worker's disk; a wrong checksum is checked by a second read.

        Raises:
            LedgerDamagedError: it is missing, or differs from what its entry says.
            EngineError: the worker's disk failed.
        """
        path = f"{self.folder}/{stored.name}"
        for _ in range(2):
            if not self._store.get_file(path, to):
                raise LedgerDamagedError(self._store.locate(path), "is missing")
            if _digest(to)[0] == stored.sha256:
                return to
        raise LedgerDamagedError(self._store.locate(path), "has another checksum than its entry says")

    def put_report(self, claim: int, report: Mapping[str, Any]) -> None:
        """Write ``reports/<claim>.json``."""
        self._write(report_file(claim), dict(report))

    def report(self, claim: int) -> dict[str, Any]:
        """Return ``reports/<claim>.json``; raises as ``newest`` does."""
        return self._read(report_file(claim))

    def put_verify_report(self, generation: int, report: Mapping[str, Any]) -> None:
        """Write ``verification/<generation>.json``, the report of the verification of that commit."""
        self._write(verify_report_file(generation), dict(report))

    def store_side_file(self, name: str, path: Path) -> str:
        """Put a file for people (rejected users, planned changes) into the folder, and return its place."""
        self._store.put_file(f"{self.folder}/{name}", path)
        return self._store.locate(f"{self.folder}/{name}")

    def _plan(self, generation: int) -> Plan:
        entry = self._read(name := str(ObjectName("plan", generation)))
        try:
            base = StoredFile(**entry["base"]) if entry["base"] else None
            files = {"changes": StoredFile(**entry["changes"]), "base": base}
            events = EventTerms(**entry["events"]) if entry.get("events") else None
            return Plan(**{**entry, **files, "events": events, **_checked(entry)})
        except (KeyError, TypeError, ValueError, OverflowError):
            raise LedgerDamagedError(self.locate(name), "lacks something a plan has") from None

    def _journal(self, name: str) -> Journal:
        entry = self._read(name)
        try:
            rejected = {int(p): Rejection(int(p), status, reason) for p, status, reason in entry["rejected"]}
            Ranges.of((p, p) for p in rejected)  # raises where one is no position
            events = EventJournal.from_entry(entry["events"]) if "events" in entry else EventJournal()
            return Journal(Ranges.of((int(first), int(last)) for first, last in entry["acked"]), rejected, events)
        except (KeyError, TypeError, ValueError, OverflowError):
            raise LedgerDamagedError(self.locate(name), "lacks something a journal has") from None

    def commit(self, generation: int) -> Commit:
        """Return a commit; raises as ``newest`` does."""
        entry = self._read(name := str(ObjectName("commit", generation)))
        try:
            return Commit(**{**entry, "snapshot": StoredFile(**entry["snapshot"]), **_checked(entry)})
        except (KeyError, TypeError, ValueError, OverflowError):
            raise LedgerDamagedError(self.locate(name), "lacks something a commit has") from None

    def _read(self, name: str) -> dict[str, Any]:
        return read_entry(self._store.get(f"{self.folder}/{name}"), self.locate(name))

    def _write(self, name: str, entry: dict[str, Any]) -> None:
        self._store.put(f"{self.folder}/{name}", encode_entry(entry))

    def locate(self, name: str) -> str:
        """Return the place of an object of the ledger, for messages."""
        return self._store.locate(f"{self.folder}/{name}")


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of plans and commits that are no plain values; raises where one has the wrong form."""
    seconds_ahead(entry["timestamp"], 0.0)  # raises where it is no timestamp
    exported_epoch = float(entry.get("exported_epoch", 0.0))
    return {"exported_epoch": exported_epoch, "origin": TraitOrigin(**entry["origin"]) if entry.get("origin") else None}


def _digest(path: Path) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file in a scratch folder."""
    with on_scratch(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def newest_readable(ledger: Ledger) -> Plan | Commit | None:
    """Return the newest entry that can be read in a ledger that this run has not claimed.

    It tries older entries too, because the ledger's owner may prune meanwhile.

    Raises:
        LedgerDamagedError: no entry can be read, and the newest is damaged.
        LedgerFormatError: no entry can be read, and the newest has another format.
        StatePathError: no entry can be read, and the store refuses the newest; or the store failed for now.
    """
    fault: LedgerDamagedError | LedgerFormatError | StatePathError | None = None
    for name in reversed(ledger.entries()):
        try:
            return ledger.entry(name)
        except (LedgerDamagedError, LedgerFormatError, StatePathError) as error:
            if error.retryable:
                raise
            fault = fault or error
    if fault is not None:
        raise fault
    return None
