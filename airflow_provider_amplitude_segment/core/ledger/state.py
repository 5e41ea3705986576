"""The state of a stream: for each trait key and user, what Segment was last told and how sure that is.

As Parquet: ``trait``, ``user_id``, ``told`` (NULL: never for certain), ``in_doubt`` (an answer was lost, or the user
was refused: Segment may hold either value), ``refused`` (syncs in a row that ended with the user refused). Nobody who
was ever told about is dropped: ``full`` tells former members ``false`` again. Where user properties were told along,
there are columns for them, and rows of their own (``core.user_properties``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row, widen
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.entry import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal
    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger

_EMPTY = """SELECT NULL::VARCHAR AS trait, NULL::VARCHAR AS user_id, NULL::BOOLEAN AS told,
                   NULL::BOOLEAN AS in_doubt, NULL::INTEGER AS refused WHERE false"""


def state_query(state: Path | None) -> str:
    """Return the query that reads a state; ``None`` is the state of a stream that never told anything."""
    return f"SELECT * FROM {parquet_rows(state)}" if state else _EMPTY


def pairs_query(state: Path | None) -> str:
    """Return the query of a state's pairs of trait and user, without what it says of properties."""
    pairs = f"SELECT trait, user_id, told, in_doubt, refused FROM ({state_query(state)})"
    return f"{pairs} WHERE trait <> {literal(user_properties.KEY)}"


def properties_query(state: Path | None) -> str:
    """Return the query of a state's users with properties, one row each."""
    return f"SELECT * FROM ({state_query(state)}) WHERE trait = {literal(user_properties.KEY)}"


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
    return ledger.load_file(newest.snapshot, scratch / "snapshot.parquet")


def fold_plan(engine: duckdb.DuckDBPyConnection, ledger: Ledger, plan: Plan, journal: Journal, scratch: Path) -> Path:
    """Write the state after a plan, as far as its journal knows, to ``scratch/folded.parquet``."""
    base = ledger.load_file(plan.base, scratch / "base.parquet") if plan.base else None
    changes = scratch / "changes.parquet"
    if not changes.exists():
        ledger.load_file(plan.changes, changes)
    return fold(engine, base, changes, journal, scratch / "folded.parquet")


def fold(engine: duckdb.DuckDBPyConnection, base: Path | None, changes: Path, journal: Journal, to: Path) -> Path:
    """Fold a journal into the state that a plan started from.

    An acknowledged change is told, and no refusal is remembered; a refused one is in doubt, and counted; one of which
    nothing is known is in doubt.
    """
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
    sent = user_properties.names_in(engine, changes)
    names = sorted({*sent, *user_properties.names_in(engine, base)})
    nothing = "".join(f", NULL::VARCHAR AS {user_properties.column(name)}" for name in names)
    properties = f"UNION ALL {_folded_properties(engine, base, names, sent)}" if names else ""
    if names:
        widen(engine)
    engine.execute(
        write_parquet(
            f"""WITH {_planned(changes, is_wide=bool(sent))}
            SELECT trait, user_id,
                   CASE WHEN planned.acked THEN planned.value ELSE state.told END AS told,
                   CASE WHEN planned.acked IS NULL THEN state.in_doubt ELSE NOT planned.acked END AS in_doubt,
                   CASE WHEN planned.acked IS NULL THEN state.refused
                        WHEN planned.acked THEN 0
                        ELSE coalesce(state.refused, 0) + planned.refused::INTEGER END AS refused{nothing}
            FROM ({pairs_query(base)}) state
            FULL OUTER JOIN (SELECT trait, user_id, value, acked, refused FROM planned) planned USING (trait, user_id)
            {properties}""",
            to,
            group_rows=user_properties.group_rows(names),
        )
    )
    return to


def _planned(changes: Path, *, is_wide: bool) -> str:
    """Return the table ``planned``: the changes, with what the journal knows of each.

    Finding the ranges sorts the rows, so that wide ones are joined with what was found for their positions.
    """
    rows = parquet_rows(changes, numbered=True)
    columns = "file_row_number" if is_wide else "*"
    known = f"""SELECT changes.*, coalesce(changes.file_row_number <= acked.last, false) AS acked,
                       refused.position IS NOT NULL AS refused
                FROM (SELECT {columns} FROM {rows}) changes
                ASOF LEFT JOIN acked_ranges acked ON changes.file_row_number >= acked.first
                LEFT JOIN refused_positions refused ON changes.file_row_number = refused.position"""
    if not is_wide:
        return f"planned AS ({known})"
    return f"known AS ({known}), planned AS (SELECT * FROM {rows} JOIN known USING (file_row_number))"


def _folded_properties(
    engine: duckdb.DuckDBPyConnection, base: Path | None, names: Sequence[str], sent: Sequence[str]
) -> str:
    """Return the query of the rows with properties after a plan, ``planned``, as far as its journal knows."""
    if not sent:
        columns = f"trait, user_id, told, in_doubt, refused{user_properties.listed(names)}"
        return f"SELECT {columns} FROM ({properties_query(base)})"
    known = user_properties.names_in(engine, base)
    before = {name: f"known.{user_properties.column(name)}" if name in known else "NULL::VARCHAR" for name in names}
    change = {name: f"planned.{user_properties.column(name)}" if name in sent else "NULL::VARCHAR" for name in names}
    after = ", ".join(user_properties.folded(name, before[name], change[name], "planned.acked") for name in names)
    who = user_properties.any_of(sent)
    return f"""FROM (
            SELECT {literal(user_properties.KEY)} AS trait, user_id, NULL::BOOLEAN AS told, false AS in_doubt,
                   0 AS refused, {after}
            FROM ({properties_query(base)}) known
            FULL OUTER JOIN (SELECT * EXCLUDE (trait, refused) FROM planned WHERE {who}) planned USING (user_id)
        ) WHERE {user_properties.any_of(names)}"""


def count_known(engine: duckdb.DuckDBPyConnection, state: Path, trait: str) -> int:
    """Return how many users a state has as ``true`` under a trait key, for certain."""
    query = f"SELECT count(*) FILTER (told AND NOT in_doubt) FROM ({state_query(state)}) WHERE trait = $1"
    return int(one_row(engine, query, [trait])[0])
