"""The state of a stream: for each trait key and user the value last delivered, and whether it is in doubt.

As Parquet:

    trait, user_id
    delivered       the value last delivered; NULL where none was acknowledged
    in_doubt        sent and not acknowledged, or rejected: Segment may hold either value
    rejections      the number of syncs in a row that ended with the user rejected

The state keeps former members, because ``full`` sends ``false`` to them again. User properties have columns and rows of
their own (``core.user_properties``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row, widen
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER
from airflow_provider_amplitude_segment.core.ledger.owed_events import (
    NO_EVENTS,
    event_columns,
    events_after,
    with_settled_events,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal
    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger

_EMPTY = """SELECT NULL::VARCHAR AS trait, NULL::VARCHAR AS user_id, NULL::BOOLEAN AS delivered,
                   NULL::BOOLEAN AS in_doubt, NULL::INTEGER AS rejections WHERE false"""


def state_query(state: Path | None) -> str:
    """Return the query that reads a state; ``None`` is the state before the first sync."""
    return f"SELECT * FROM {parquet_rows(state)}" if state else _EMPTY


def pairs_query(state: Path | None, more: str = "") -> str:
    """Return the query of a state's pairs of trait and user, without user properties; ``more`` adds columns."""
    pairs = f"SELECT trait, user_id, delivered, in_doubt, rejections{more} FROM ({state_query(state)})"
    return f"{pairs} WHERE trait <> {literal(user_properties.KEY)}"


def properties_query(state: Path | None) -> str:
    """Return the query of a state's user properties, one row for each user."""
    return f"SELECT * FROM ({state_query(state)}) WHERE trait = {literal(user_properties.KEY)}"


def read_state(
    engine: duckdb.DuckDBPyConnection, ledger: Ledger, newest: Plan | Commit | None, scratch: Path
) -> Path | None:
    """Copy the state after ``newest`` to the worker's disk.

    A commit gives its snapshot. An abandoned plan gives its base folded with its journal: acknowledged changes are
    delivered, all others are in doubt.

    Returns:
        A Parquet file in ``scratch``, or ``None`` before the first sync.

    Raises:
        LedgerDamagedError: a file is missing or has another checksum.
    """
    if newest is None:
        return None
    if isinstance(newest, Plan):
        return fold_plan(engine, ledger, newest, ledger.journal(newest), scratch)
    return ledger.load_file(newest.snapshot, scratch / "snapshot.parquet")


def fold_plan(engine: duckdb.DuckDBPyConnection, ledger: Ledger, plan: Plan, journal: Journal, scratch: Path) -> Path:
    """Write the state after a plan, by its journal, to ``scratch/folded.parquet``."""
    base = ledger.load_file(plan.base, scratch / "base.parquet") if plan.base else None
    changes = ledger.load_file(plan.changes, scratch / "changes.parquet")
    return fold(engine, PlanFiles(plan, base, changes), journal, scratch / "folded.parquet")


@dataclass(frozen=True, slots=True)
class PlanFiles:
    """A plan, and its files on the worker's disk.

    Attributes:
        plan: the plan.
        base: the state that it starts from; ``None`` for an empty one.
        changes: its changes.
    """

    plan: Plan
    base: Path | None
    changes: Path


def fold(engine: duckdb.DuckDBPyConnection, files: PlanFiles, journal: Journal, to: Path) -> Path:
    """Fold a plan's journal into the state that the plan starts from.

    An acknowledged change is delivered, and its rejections are reset. A rejected one is in doubt, and its rejections
    are counted. Any other is in doubt.
    """
    base, changes = files.base, files.changes
    _load_journal(engine, journal)
    sent = user_properties.names_in(engine, changes)
    names = sorted({*sent, *user_properties.names_in(engine, base)})
    nothing = "".join(f", NULL::VARCHAR AS {user_properties.column(name)}" for name in names)
    has_events = files.plan.events is not None
    event = f", {events_after(engine, files.plan, journal)}" if has_events else ""
    planned = f"({with_settled_events('planned')})" if has_events else "planned"
    numbers = f", {NUMBER}, is_event_settled" if has_events else ""
    properties = ""
    if names:
        others = _folded_properties(engine, base, names, sent)
        properties = f"UNION ALL {f'SELECT *, {NO_EVENTS} FROM ({others})' if has_events else others}"
    if names:
        widen(engine)
    engine.execute(
        write_parquet(
            f"""WITH {_planned(engine, changes, journal, is_wide=bool(sent))}
            SELECT trait, user_id,
                   CASE WHEN planned.acked THEN planned.value ELSE state.delivered END AS delivered,
                   CASE WHEN planned.acked IS NULL THEN state.in_doubt ELSE NOT planned.acked END AS in_doubt,
                   CASE WHEN planned.acked IS NULL THEN state.rejections
                        WHEN planned.acked THEN 0
                        ELSE coalesce(state.rejections, 0) + planned.rejected::INTEGER END AS rejections{nothing}{event}
            FROM ({pairs_query(base, event_columns(engine, base) if has_events else "")}) state
            FULL OUTER JOIN (
                SELECT trait, user_id, value, acked, rejected{numbers} FROM {planned}
            ) planned USING (trait, user_id)
            {properties}""",
            to,
            group_rows=user_properties.group_rows(names),
        )
    )
    return to


def _load_journal(engine: duckdb.DuckDBPyConnection, journal: Journal) -> None:
    """Make the tables ``acked_ranges`` and ``rejected_positions`` of a journal."""
    firsts, lasts = [first for first, _ in journal.acked.pairs], [last for _, last in journal.acked.pairs]
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE acked_ranges AS "
        "SELECT unnest($1::BIGINT[]) AS first, unnest($2::BIGINT[]) AS last",
        [firsts, lasts],
    )
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE rejected_positions AS SELECT unnest($1::BIGINT[]) AS position",
        [list(journal.rejected)],
    )


def _planned(engine: duckdb.DuckDBPyConnection, changes: Path, journal: Journal, *, is_wide: bool) -> str:
    """Return the table ``planned``: the changes, each with its outcome by the journal.

    The join with the ranges sorts the rows, so there is none where all are acknowledged. Wide rows are joined with its
    result, so that they are not sorted.
    """
    rows = parquet_rows(changes, numbered=True)
    if not journal.rejected and one_row(engine, f"SELECT count(*) FROM {rows}") == (journal.acked.count,):
        return f"planned AS (SELECT *, true AS acked, false AS rejected FROM {rows})"
    columns = "file_row_number" if is_wide else "*"
    known = f"""SELECT changes.*, coalesce(changes.file_row_number <= acked.last, false) AS acked,
                       rejected.position IS NOT NULL AS rejected
                FROM (SELECT {columns} FROM {rows}) changes
                ASOF LEFT JOIN acked_ranges acked ON changes.file_row_number >= acked.first
                LEFT JOIN rejected_positions rejected ON changes.file_row_number = rejected.position"""
    if not is_wide:
        return f"planned AS ({known})"
    return f"known AS ({known}), planned AS (SELECT * FROM {rows} JOIN known USING (file_row_number))"


def _folded_properties(
    engine: duckdb.DuckDBPyConnection, base: Path | None, names: Sequence[str], sent: Sequence[str]
) -> str:
    """Return the query of the rows of user properties after the plan in ``planned``, by its journal."""
    if not sent:
        columns = f"trait, user_id, delivered, in_doubt, rejections{user_properties.listed(names)}"
        return f"SELECT {columns} FROM ({properties_query(base)})"
    known = user_properties.names_in(engine, base)
    before = {name: f"known.{user_properties.column(name)}" if name in known else "NULL::VARCHAR" for name in names}
    change = {name: f"planned.{user_properties.column(name)}" if name in sent else "NULL::VARCHAR" for name in names}
    after = ", ".join(user_properties.folded(name, before[name], change[name], "planned.acked") for name in names)
    has_sent = user_properties.any_of(sent)
    return f"""FROM (
            SELECT {literal(user_properties.KEY)} AS trait, user_id, NULL::BOOLEAN AS delivered, false AS in_doubt,
                   0 AS rejections, {after}
            FROM ({properties_query(base)}) known
            FULL OUTER JOIN (SELECT * EXCLUDE (trait, rejected) FROM planned WHERE {has_sent}) planned USING (user_id)
        ) WHERE {user_properties.any_of(names)}"""


def count_known(engine: duckdb.DuckDBPyConnection, state: Path, trait: str) -> int:
    """Return the number of users who are ``true`` under a trait key and not in doubt."""
    query = f"SELECT count(*) FILTER (delivered AND NOT in_doubt) FROM ({state_query(state)}) WHERE trait = $1"
    return int(one_row(engine, query, [trait])[0])
