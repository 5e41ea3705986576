"""The erasure of users from a ledger: a privacy request.

After it nothing in the ledger's folder names them: the state is committed anew without them, every earlier plan and
commit goes, and the files for people are written again. Nothing is told to Segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine import literal, one_row, open_engine
from airflow_provider_amplitude_segment.core.ledger import Ledger
from airflow_provider_amplitude_segment.core.pruning import prune_before
from airflow_provider_amplitude_segment.core.restatement import restate
from airflow_provider_amplitude_segment.core.state import read_state
from airflow_provider_amplitude_segment.core.tenure import Tenure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream

_FILES_FOR_PEOPLE = ("rejected", "dry-runs")


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
        LedgerDamagedError: the newest state is missing or changed, so that it cannot be written without them.
    """
    with Tenure(store, [stream], run, clock) as tenure, open_engine(scratch) as engine:
        engine.execute("CREATE TEMP TABLE erased AS SELECT DISTINCT unnest($1::VARCHAR[]) AS user_id", [list(user_ids)])
        ledger = Ledger(store, stream.folder)
        newest = ledger.newest()
        state = read_state(engine, ledger, newest, scratch)
        files = _erase_from_files(engine, store, stream, scratch)
        if newest is None or state is None or not _is_named(engine, store, stream, scratch):
            return Erased(0, None, files)
        (pairs,) = one_row(engine, f"SELECT count(*) FROM {_read(state)} SEMI JOIN erased USING (user_id)")
        kept = scratch / "kept.parquet"
        engine.execute(
            f"COPY (FROM {_read(state)} ANTI JOIN erased USING (user_id)) "
            f"TO {literal(kept)} (FORMAT parquet, COMPRESSION zstd)"
        )
        restated = restate(engine, ledger, newest, kept, tenure=tenure, stream=stream, run=run, clock=clock)
        prune_before(ledger, restated.generation)
        return Erased(int(pairs), restated.generation, files)


def _is_named(engine: duckdb.DuckDBPyConnection, store: Store, stream: Stream, scratch: Path) -> bool:
    """Tell whether any file of the ledger names one of the users, also one that nothing names any more."""
    copy = scratch / "looked-at.parquet"
    for name in store.names(stream.folder):
        if not name.endswith(".parquet") and ".parquet." not in name:
            continue
        store.get_file(f"{stream.folder}/{name}", copy)
        try:
            (named,) = one_row(engine, f"SELECT count(*) FROM {_read(copy)} SEMI JOIN erased USING (user_id)")
        except duckdb.Error:
            # Half written, or damaged: nobody can say.
            return True
        if named:
            return True
    return False


def _erase_from_files(engine: duckdb.DuckDBPyConnection, store: Store, stream: Stream, scratch: Path) -> int:
    """Write the files for people that name one of the users again, without them; return how many those are."""
    written = 0
    for folder in _FILES_FOR_PEOPLE:
        for name in store.names(f"{stream.folder}/{folder}"):
            path = f"{stream.folder}/{folder}/{name}"
            if name.startswith("."):
                # Left by a process that was killed while it wrote.
                store.delete(path)
            elif name.endswith(".csv"):
                written += _erase_from_file(engine, store, path, scratch)
    return written


def _erase_from_file(engine: duckdb.DuckDBPyConnection, store: Store, name: str, scratch: Path) -> bool:
    """Write a CSV file again without the users; return whether it named one."""
    before, after = scratch / "before.csv", scratch / "after.csv"
    if not store.get_file(name, before):
        return False
    rows = f"read_csv({literal(before)}, header = true, all_varchar = true, parallel = false)"
    (named,) = one_row(engine, f"SELECT count(*) FROM {rows} SEMI JOIN erased USING (user_id)")
    if named:
        engine.execute(
            f"COPY (FROM {rows} ANTI JOIN erased USING (user_id)) TO {literal(after)} (FORMAT csv, HEADER true)"
        )
        store.put_file(name, after)
    return bool(named)


def _read(path: Path) -> str:
    return f"read_parquet({literal(path)})"
