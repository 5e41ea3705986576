"""The erasure of users from a ledger, for a privacy request.

An erasure commits the state without the users, deletes every earlier plan and commit, and writes the files for people
again. After it nothing in the ledger's folder names the users. Nothing is sent to Segment.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.disk_space import erasure_room, stating_room
from airflow_provider_amplitude_segment.core.engine.database import disk_reason, one_row, open_engine
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    FOR_PEOPLE,
    ObjectName,
    is_unfinished_beside,
    names_users,
    parse_object,
    parse_unfinished,
)
from airflow_provider_amplitude_segment.core.ledger.pruning import prune_before
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, read_state
from airflow_provider_amplitude_segment.core.maintenance.rollback import write_corrective_commit
from airflow_provider_amplitude_segment.exceptions import StatePathError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.entry import StoredFile
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts

_CHANGED = "names one of the users, and is no CSV file of this package's form"
_FOREIGN = "is another program's, and was not read"


@dataclass(frozen=True, slots=True)
class Erased:
    """The outcome of an erasure.

    Attributes:
        pairs: number of pairs of trait and user erased from the state.
        generation: of the new commit; ``None`` where none was needed.
        files: number of files for people that were written again.
        users: the users that the ledger named.
        left: the files that were not changed and may name the users, each with the reason.
    """

    pairs: int
    generation: int | None
    files: int
    users: frozenset[str] = field(default=frozenset(), repr=False)
    left: tuple[str, ...] = ()


def erase_users(ports: MaintenancePorts, stream: Stream, user_ids: Sequence[str]) -> Erased:
    """Erase users from one ledger; a ledger that does not name them keeps its earlier commits.

    Args:
        ports: the store, the run, the clock and a scratch folder.
        stream: the stream whose ledger is changed.
        user_ids: the users, as Amplitude exports them.

    Raises:
        ClaimHeldError: a sync is running.
        LedgerDamagedError: the newest state is missing or changed, so that it cannot be written without the users.
        EngineError: the worker's disk or memory failed; another call erases the rest.
    """
    store, scratch = ports.store, ports.scratch
    with HeldClaims(store, [stream], ports.run, ports.clock) as held_claims:
        ledger = Ledger(store, stream.folder)
        newest = ledger.newest()
        with stating_room(lambda: erasure_room(ledger.readable_entries())), open_engine(scratch) as engine:
            engine.execute(
                "CREATE TEMP TABLE erased AS SELECT DISTINCT unnest($1::VARCHAR[]) AS user_id", [list(user_ids)]
            )
            state = read_state(engine, ledger, newest, scratch)
            is_named, users = _find_named(engine, store, stream, scratch)
            erased = Erased(0, None, 0)
            if is_named:
                generation = held_claims.generation(stream)
                if newest is not None and state is not None:
                    pairs, snapshot = _store_without_erased(engine, ledger, state, generation, scratch)
                    held_claims.verify(stream)
                    write_corrective_commit(ledger, newest, snapshot, ports, generation)
                    erased = Erased(pairs, generation, 0)
                # Without a state, the files are those of a process that was killed before its first entry.
                prune_before(ledger, generation)
            left = tuple(f"{ledger.locate(name)} {_FOREIGN}" for name in ledger.foreign())
            erased = replace(erased, users=users, left=left)
            return _erase_from_files(store, ledger, frozenset(user_ids), scratch, erased)


def _store_without_erased(
    engine: duckdb.DuckDBPyConnection, ledger: Ledger, state: Path, generation: int, scratch: Path
) -> tuple[int, StoredFile]:
    """Store a snapshot of the state without the users; return how many pairs they had in it, and the snapshot."""
    (pairs,) = one_row(engine, f"SELECT count(*) FROM ({pairs_query(state)}) SEMI JOIN erased USING (user_id)")
    kept = scratch / "kept.parquet"
    engine.execute(write_parquet(f"FROM {parquet_rows(state)} ANTI JOIN erased USING (user_id)", kept))
    return int(pairs), ledger.store_file(str(ObjectName("snapshot", generation, generation)), kept)


def _find_named(
    engine: duckdb.DuckDBPyConnection, store: Store, stream: Stream, scratch: Path
) -> tuple[bool, frozenset[str]]:
    """Return whether a file of the ledger, also an unfinished one, may name one of the users; and the users named."""
    copy, users, is_unknown = scratch / "searched.parquet", set(), False
    for name in store.names(stream.folder):
        found = parse_object(name) or parse_unfinished(name)
        if found is None or not found.is_data:
            continue
        try:
            if store.get_file(f"{stream.folder}/{name}", copy):
                rows = engine.execute(
                    f"SELECT DISTINCT user_id FROM {parquet_rows(copy)} SEMI JOIN erased USING (user_id)"
                )
                users |= {user_id for (user_id,) in rows.fetchall()}
        except (duckdb.Error, StatePathError) as error:
            if isinstance(error, StatePathError) and error.retryable:
                raise
            if isinstance(error, duckdb.Error) and disk_reason(error):
                raise
            # An unfinished or damaged file, or one that is closed to this user, may name one.
            is_unknown = True
    return is_unknown or bool(users), frozenset(users)


def _erase_from_files(store: Store, ledger: Ledger, user_ids: frozenset[str], scratch: Path, erased: Erased) -> Erased:
    """Write the files for people again without the users; return ``erased`` with those files added."""
    files, users, left = 0, set(erased.users), list(erased.left)
    for folder in FOR_PEOPLE:
        for name in sorted(ledger.names_beside(folder)):
            path = f"{ledger.folder}/{folder}/{name}"
            if is_unfinished_beside(folder, name):
                # A process that was killed while writing left it.
                store.delete(path)
            if not names_users(folder, name):
                continue
            try:
                named = _erase_from_file(store, path, user_ids, scratch)
            except StatePathError as error:
                if error.retryable:
                    raise
                left.append(f"{store.locate(path)} cannot be read or written ({error.reason})")
                continue
            if named is None:
                left.append(f"{store.locate(path)} {_CHANGED}")
            elif named:
                files, users = files + 1, users | named
    return replace(erased, files=files, users=frozenset(users), left=tuple(left))


def _erase_from_file(store: Store, path: str, user_ids: frozenset[str], scratch: Path) -> set[str] | None:
    """Write a CSV file again without the users' rows, where it has any.

    Returns:
        The users that it named; ``None`` where it names one but has another form, and so was not changed.
    """
    before, after = scratch / "before.csv", scratch / "after.csv"
    if not store.get_file(path, before):
        return set()
    named: set[str] = set()
    try:
        with on_scratch(after), _open_csv(before, "r") as source, _open_csv(after, "w") as copy:
            reader, writer = csv.reader(source, strict=True), csv.writer(copy, lineterminator="\n")
            header = next(reader, [])
            column = header.index("user_id")
            writer.writerow(header)
            for row in reader:
                if row[column] in user_ids:
                    named.add(row[column])
                else:
                    writer.writerow(row)
    except (csv.Error, ValueError, IndexError):
        return None if _mentions(before, user_ids) else set()
    if named:
        store.put_file(path, after)
    return named


def _open_csv(path: Path, mode: str) -> IO[str]:
    # surrogateescape writes bytes that are not UTF-8 unchanged.
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _mentions(path: Path, user_ids: frozenset[str]) -> bool:
    with on_scratch(path), _open_csv(path, "r") as file:
        return any(user_id in line for line in file for user_id in user_ids)
