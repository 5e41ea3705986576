"""The state of a stream: for each trait key and user, what Segment was last told and how sure that is.

As Parquet: ``trait``, ``user_id``, ``told`` (NULL: never for certain), ``in_doubt`` (an answer was lost, or the user
was refused: Segment may hold either value), ``refused`` (syncs in a row that ended with the user refused). Where user
properties were told along, also ``properties``: those that Segment holds, or may hold, as traits. Nobody who was ever
told about is dropped: ``full`` tells former members ``false`` again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine import literal, one_row
from airflow_provider_amplitude_segment.core.entry import Plan

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.entry import Commit
    from airflow_provider_amplitude_segment.core.journal import Journal
    from airflow_provider_amplitude_segment.core.ledger import Ledger

_EMPTY = """SELECT NULL::VARCHAR AS trait, NULL::VARCHAR AS user_id, NULL::BOOLEAN AS told,
                   NULL::BOOLEAN AS in_doubt, NULL::INTEGER AS refused WHERE false"""


def state_query(state: Path | None) -> str:
    """Return the query that reads a state; ``None`` is the state of a stream that never told anything."""
    return f"SELECT * FROM read_parquet({literal(state)})" if state else _EMPTY


def read_state(
    engine: duckdb.DuckDBPyConnection, ledger: Ledger, newest: Plan | Commit | None, scratch: Path
) -> Path | None:
    """Bring the state that ``newest`` leaves to the worker's disk.

    A commit gives its snapshot. An abandoned plan gives its base folded with its journal: what was acknowledged is
    told, everything else of it is in doubt.

    Returns:
        A Parquet file in ``scratch``, or ``None`` where nothing was ever told.

    Raises:
        LedgerDamagedError: a file is missing or has another checksum.
    """
    if newest is None:
        return None
    if isinstance(newest, Plan):
        return fold_plan(engine, ledger, newest, ledger.journal(newest), scratch)
    return ledger.fetch(newest.snapshot, scratch / "snapshot.parquet")


def fold_plan(engine: duckdb.DuckDBPyConnection, ledger: Ledger, plan: Plan, journal: Journal, scratch: Path) -> Path:
    """Write the state after a plan, as far as its journal knows, to ``scratch/folded.parquet``."""
    base = ledger.fetch(plan.base, scratch / "base.parquet") if plan.base else None
    changes = scratch / "changes.parquet"
    if not changes.exists():
        ledger.fetch(plan.changes, changes)
    return fold(engine, base, changes, journal, scratch / "folded.parquet")


def fold(engine: duckdb.DuckDBPyConnection, base: Path | None, changes: Path, journal: Journal, to: Path) -> Path:
    """Fold a journal into the state that a plan started from.

    An acknowledged change is told, and no refusal is remembered; a refused one is in doubt, and counted; one of which
    nothing is known is in doubt.
    """
    told = user_properties.COLUMN if user_properties.has_properties(engine, base) else "NULL::VARCHAR"
    sent = user_properties.COLUMN if user_properties.has_properties(engine, changes) else "NULL::VARCHAR"
    properties = settled = ""
    if user_properties.COLUMN in (told, sent):
        kept = user_properties.folded("known", "sent", "planned.acked")
        current = user_properties.traits_with(engine, changes)
        if current and user_properties.traits_with(engine, base) - current:
            # What was told along with an earlier key is told along with this one now, or taken back.
            kept = f"CASE WHEN sent IS NOT NULL OR settled IS NULL THEN {kept} END"
            settled = """LEFT JOIN (
                SELECT user_id, true AS settled FROM planned WHERE sent IS NOT NULL AND acked
            ) USING (user_id)"""
        properties = f", {kept} AS {user_properties.COLUMN}"
    firsts, lasts = [first for first, _ in journal.acked.pairs], [last for _, last in journal.acked.pairs]
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE acked_ranges AS "
        "SELECT unnest($1::BIGINT[]) AS first, unnest($2::BIGINT[]) AS last",
        [firsts, lasts],
    )
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE refused_positions AS SELECT unnest($1::BIGINT[]) AS position",
        [list(journal.refused)],
    )
    engine.execute(
        f"""COPY (
            WITH planned AS (
                SELECT changes.trait, changes.user_id, changes.value, {sent} AS sent,
                       coalesce(changes.file_row_number <= acked.last, false) AS acked,
                       refused.position IS NOT NULL AS refused
                FROM read_parquet({literal(changes)}, file_row_number = true) changes
                ASOF LEFT JOIN acked_ranges acked ON changes.file_row_number >= acked.first
                LEFT JOIN refused_positions refused ON changes.file_row_number = refused.position
            )
            SELECT trait, user_id,
                   CASE WHEN planned.acked THEN planned.value ELSE state.told END AS told,
                   CASE WHEN planned.acked IS NULL THEN state.in_doubt ELSE NOT planned.acked END AS in_doubt,
                   CASE WHEN planned.acked IS NULL THEN state.refused
                        WHEN planned.acked THEN 0
                        ELSE coalesce(state.refused, 0) + planned.refused::INTEGER END AS refused{properties}
            FROM (SELECT *, {told} AS known FROM ({state_query(base)})) state
            FULL OUTER JOIN planned USING (trait, user_id) {settled}
        ) TO {literal(to)} (FORMAT parquet, COMPRESSION zstd)"""
    )
    return to


def count_known(engine: duckdb.DuckDBPyConnection, state: Path, trait: str) -> int:
    """Return how many users a state has as ``true`` under a trait key, for certain."""
    query = f"SELECT count(*) FILTER (told AND NOT in_doubt) FROM ({state_query(state)}) WHERE trait = $1"
    return int(one_row(engine, query, [trait])[0])
