"""A restatement: a new commit that no plan led to, which says anew what Segment was told.

Two reasons lead to one: going back to an earlier commit, and erasing users. It is written under a claim of its own, so
that no sync is at work meanwhile, and under a higher generation than all before, so that every sync after it reads it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import later_timestamp
from airflow_provider_amplitude_segment.core.engine import literal, one_row, open_engine
from airflow_provider_amplitude_segment.core.ledger import Commit, Ledger
from airflow_provider_amplitude_segment.core.state import read_state
from airflow_provider_amplitude_segment.core.tenure import Tenure
from airflow_provider_amplitude_segment.exceptions import CommitNotKeptError, LedgerDamagedError, LedgerFormatError

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.ledger import Plan
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restated:
    """What a restatement came to.

    Attributes:
        generation: of the new commit.
        pairs: pairs of trait and user that it holds.
        in_doubt: those that the next sync tells again.
    """

    generation: int
    pairs: int
    in_doubt: int


def go_back(store: Store, stream: Stream, to: int, run: Run, clock: Clock, scratch: Path) -> Restated:
    """Say that Segment was told what commit ``to`` says; everything told since is in doubt, and told again next time.

    Args:
        store: where the ledger is.
        stream: whose.
        to: generation of a commit that is kept.
        run: who does it, for the claim.
        clock: time.
        scratch: an empty folder on this machine.

    Raises:
        CommitNotKeptError: there is no such commit before the newest entry.
        ClaimHeldError: a sync is at work.
        LedgerDamagedError: the snapshot to go back to is missing or changed.
    """
    with Tenure(store, [stream], run, clock) as tenure, open_engine(scratch) as engine:
        ledger = Ledger(store, stream.folder)
        commits, newest = ledger.commits(), ledger.newest_number()
        if to not in commits or to == newest:
            raise CommitNotKeptError(store.locate(stream.folder), to, [n for n in commits if n != newest])
        target = ledger.commit(to)
        old = ledger.fetch(target.snapshot, scratch / "old.parquet")
        later, all_known = _states_since(engine, ledger, to, scratch)
        state = scratch / "restated.parquet"
        engine.execute(
            f"""COPY (
                WITH later AS ({" UNION ALL ".join(f"FROM read_parquet({literal(path)})" for path in [old, *later])}),
                moved AS (
                    SELECT trait, user_id, bool_or(later.in_doubt OR later.told IS DISTINCT FROM old.told) AS moved
                    FROM later LEFT JOIN read_parquet({literal(old)}) old USING (trait, user_id)
                    GROUP BY trait, user_id
                )
                SELECT trait, user_id, old.told, {"moved" if all_known else "true"} AS in_doubt,
                       coalesce(old.refused, 0) AS refused
                FROM moved LEFT JOIN read_parquet({literal(old)}) old USING (trait, user_id)
            ) TO {literal(state)} (FORMAT parquet, COMPRESSION zstd)"""
        )
        return restate(engine, ledger, target, state, tenure=tenure, stream=stream, run=run, clock=clock)


def restate(
    engine: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    like: Plan | Commit,
    state: Path,
    *,
    tenure: Tenure,
    stream: Stream,
    run: Run,
    clock: Clock,
) -> Restated:
    """Commit a state under the tenure's generation; ``like`` gives what a state alone does not say."""
    generation = tenure.generation(stream)
    snapshot = ledger.keep(f"snapshot-{generation}-{generation}.parquet", state)
    tenure.look(stream)
    ledger.write_commit(
        Commit(
            generation=generation,
            claim=generation,
            run_key=run.key,
            # Of no export: a run that had requested one before asks for a new one.
            export_request_id="",
            trait=like.trait,
            timestamp=later_timestamp(clock.now(), _latest_timestamp(ledger)),
            snapshot=snapshot,
            proved_key=like.proved_key,
            segment_conn_id=like.segment_conn_id,
            destination=like.destination,
            report={},
        )
    )
    pairs, in_doubt = one_row(
        engine, f"SELECT count(*), count(*) FILTER (in_doubt) FROM read_parquet({literal(state)})"
    )
    return Restated(generation, int(pairs), int(in_doubt))


def _latest_timestamp(ledger: Ledger) -> str | None:
    """Return the latest timestamp that messages of the stream were given, as far as entries can be read."""
    timestamps = []
    for name in ledger.entries():
        try:
            timestamps.append(ledger.entry(name).timestamp)
        except (LedgerDamagedError, LedgerFormatError):
            continue
    return max(timestamps, default=None)


def _states_since(engine: duckdb.DuckDBPyConnection, ledger: Ledger, to: int, scratch: Path) -> tuple[list[Path], bool]:
    """Return the states after commit ``to`` that can still be read, and whether those are all that are named."""
    states, all_known = [], True
    for number in [n for n in ledger.commits() if n > to]:
        try:
            states.append(ledger.fetch(ledger.commit(number).snapshot, scratch / f"state-{number}.parquet"))
        except (LedgerDamagedError, LedgerFormatError) as error:
            log.warning("Everyone is in doubt: %s", error)
            all_known = False
    folder = scratch / "newest"
    folder.mkdir()
    try:
        newest = read_state(engine, ledger, ledger.newest(), folder)
    except (LedgerDamagedError, LedgerFormatError) as error:
        log.warning("Everyone is in doubt: %s", error)
        return states, False
    return [*states, *([newest] if newest else [])], all_known
