"""The erasure of users from a ledger: a privacy request.

After it nothing in the ledger's folder names them: the state is committed anew without them, every earlier plan and
commit goes, and the files for people are written again. Nothing is told to Segment.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine import disk_reason, one_row, open_engine
from airflow_provider_amplitude_segment.core.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger import Ledger
from airflow_provider_amplitude_segment.core.pruning import prune_before
from airflow_provider_amplitude_segment.core.restatement import restate
from airflow_provider_amplitude_segment.core.room import erasure_room, stating_room
from airflow_provider_amplitude_segment.core.scratch import on_scratch
from airflow_provider_amplitude_segment.core.state import pairs_query, read_state
from airflow_provider_amplitude_segment.core.tenure import Tenure
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream

_FILES_FOR_PEOPLE = ("rejected", "dry-runs")

_FOREIGN = "names one of the users and is no CSV file as it is written here; take it away by hand, then do it again"


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure took away.

    Attributes:
        pairs: pairs of trait and user that the state held.
        generation: of the new commit; ``None`` where the state did not name them.
        files: files for people that were written again without them.
    """

    pairs: int
    generation: int | None
    files: int


def erase_users(store: Store, stream: Stream, user_ids: Sequence[str], run: Run, clock: Clock, scratch: Path) -> Erased:
    """Erase users from one ledger; a ledger that does not name them stays as it is, its earlier commits included.

    Args:
        store: where the ledger is.
        stream: whose.
        user_ids: whom, as Amplitude exports them.
        run: who does it, for the claim.
        clock: time.
        scratch: an empty folder on this machine.

    Raises:
        ClaimHeldError: a sync is at work.
        LedgerDamagedError: the newest state is missing or changed, so that it cannot be written without them; or a
            file for people names one and is not as it was written here. It is named, and all else is done.
        EngineError: the worker's disk or memory failed; what was not erased by then is erased by doing it again.
    """
    with Tenure(store, [stream], run, clock) as tenure:
        ledger = Ledger(store, stream.folder)
        newest = ledger.newest()
        with stating_room(lambda: erasure_room(ledger.readable_entries())), open_engine(scratch) as engine:
            engine.execute(
                "CREATE TEMP TABLE erased AS SELECT DISTINCT unnest($1::VARCHAR[]) AS user_id", [list(user_ids)]
            )
            state = read_state(engine, ledger, newest, scratch)
            erased = Erased(0, None, 0)
            if _is_named(engine, store, stream, scratch):
                if newest is None or state is None:
                    # Left by a process that was killed before its first entry: nobody needs it.
                    prune_before(ledger, tenure.generation(stream))
                else:
                    (pairs,) = one_row(
                        engine, f"SELECT count(*) FROM ({pairs_query(state)}) SEMI JOIN erased USING (user_id)"
                    )
                    kept = scratch / "kept.parquet"
                    engine.execute(write_parquet(f"FROM {parquet_rows(state)} ANTI JOIN erased USING (user_id)", kept))
                    restated = restate(engine, ledger, newest, kept, tenure=tenure, stream=stream, run=run, clock=clock)
                    prune_before(ledger, restated.generation)
                    erased = Erased(int(pairs), restated.generation, 0)
            files = _erase_from_files(store, stream, frozenset(user_ids), scratch)
        return replace(erased, files=files)


def _is_named(engine: duckdb.DuckDBPyConnection, store: Store, stream: Stream, scratch: Path) -> bool:
    """Tell whether any file of the ledger names one of the users, also one that nothing names any more."""
    copy = scratch / "looked-at.parquet"
    for name in store.names(stream.folder):
        if not name.endswith(".parquet") and ".parquet." not in name:
            continue
        store.get_file(f"{stream.folder}/{name}", copy)
        try:
            (named,) = one_row(engine, f"SELECT count(*) FROM {parquet_rows(copy)} SEMI JOIN erased USING (user_id)")
        except duckdb.Error as error:
            if disk_reason(error):
                raise
            # Half written, or damaged: nobody can say.
            return True
        if named:
            return True
    return False


def _erase_from_files(store: Store, stream: Stream, user_ids: frozenset[str], scratch: Path) -> int:
    """Write the files for people that name one of the users again, without them; return how many those are."""
    written, foreign = 0, None
    for folder in _FILES_FOR_PEOPLE:
        for name in store.names(f"{stream.folder}/{folder}"):
            path = f"{stream.folder}/{folder}/{name}"
            if name.startswith("."):
                # Left by a process that was killed while it wrote.
                store.delete(path)
            elif store.get_file(path, scratch / "before.csv"):
                try:
                    written += _erase_from_file(store, path, user_ids, scratch)
                except LedgerDamagedError as error:
                    foreign = error
    if foreign is not None:
        raise foreign
    return written


def _erase_from_file(store: Store, path: str, user_ids: frozenset[str], scratch: Path) -> bool:
    """Write a CSV file again without the users' rows; return whether it had one.

    Raises:
        LedgerDamagedError: it names one of them and is not as it was written here, so it is left as it is.
    """
    before, after = scratch / "before.csv", scratch / "after.csv"
    rows = kept = 0
    try:
        with on_scratch(after), _open_csv(before, "r") as source, _open_csv(after, "w") as copy:
            reader, writer = csv.reader(source, strict=True), csv.writer(copy, lineterminator="\n")
            header = next(reader, [])
            column = header.index("user_id")
            writer.writerow(header)
            for row in reader:
                rows += 1
                if row[column] not in user_ids:
                    kept += 1
                    writer.writerow(row)
    except (csv.Error, ValueError, IndexError):
        if _mentions(before, user_ids):
            raise LedgerDamagedError(store.locate(path), _FOREIGN) from None
        return False
    if kept < rows:
        store.put_file(path, after)
    return kept < rows


def _open_csv(path: Path, mode: str) -> IO[str]:
    # What is not UTF-8 comes out as it went in.
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _mentions(path: Path, user_ids: frozenset[str]) -> bool:
    with on_scratch(path), _open_csv(path, "r") as file:
        return any(user_id in line for line in file for user_id in user_ids)
