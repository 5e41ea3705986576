"""The difference between who is in the cohort and what Segment was told.

Wanted is ``true`` under the current trait key for members, and ``false`` for every other pair of trait key and user
that the state knows. A rename, a rename back and an edited template need no rule of their own: the old key's pairs are
"other pairs". To tell are the pairs that are in doubt, told otherwise, or never told and members; all of them in
``full``. A pair refused in three syncs waits for ``full``. A member one of whose user properties has another value than
was told is told again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, properties_query

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.entry import PlanMode, TraitOrigin
    from airflow_provider_amplitude_segment.core.membership.membership import Membership


_MOST_SORTED_PROPERTIES = 8

REJECTIONS_BEFORE_WAITING = 3
"""Syncs that may end with a user refused before the user is left until ``full``."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What a sync would tell one destination.

    ``planned == entered + exited + retired + changed + in_doubt`` in ``incremental``; ``full`` repeats what is known on
    top.

    Attributes:
        changes: Parquet ``trait, user_id, value``, ordered by them; holds ``planned`` rows. With user properties, also
            a column for each: what to send of it; with many, in no order.
        planned: identifies to send.
        entered: members who were not told ``true`` under the current key.
        exited: users told ``true`` under the current key who are members no more.
        retired: users told ``true`` under an earlier key.
        changed: members told ``true`` already, one of whose properties has another value than was told.
        unchanged: members told ``true`` already, for certain, with the properties they have.
        in_doubt: pairs told again since an answer was lost or the user refused; outside the counts above.
        skipped: pairs that were refused three times and are left until ``full``.
        told: users last told ``true`` under the current key, in doubt or not.
        leaving: those of ``told`` who are members no more.
        known: users Segment may hold as members now, under any key.
    """

    changes: Path
    planned: int
    entered: int
    exited: int
    retired: int
    changed: int
    unchanged: int
    in_doubt: int
    skipped: int
    told: int
    leaving: int
    known: int


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a plan is made for, before it is known what it changes.

    Attributes:
        trait: the trait key that is sent.
        mode: ``incremental`` sends what differs, ``full`` everything; ``retire`` sends ``false`` to everyone known.
        export_request_id: the export that is delivered; empty for a retirement.
        origin: the task that named the trait key; ``None`` for a retirement.
    """

    trait: str
    mode: PlanMode
    export_request_id: str = ""
    origin: TraitOrigin | None = None


def diff_membership(
    engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None, terms: PlanTerms, to: Path
) -> Diff:
    """Compare a membership with a state, and write the changes.

    Args:
        engine: a DuckDB connection.
        membership: the members, and their user properties where those are sent.
        state: what was last delivered; ``None`` for nothing yet.
        terms: the current trait key, and the mode; ``retire`` repeats what is known, as ``full`` does.
        to: the Parquet file to write.
    """
    properties = membership.property_names
    engine.execute(f"CREATE OR REPLACE TEMP VIEW pairs AS {_pairs(engine, membership, state, terms)}")
    counts = one_row(
        engine,
        """SELECT count(*) FILTER (wanted AND NOT waits),
                  count(*) FILTER (wanted AND NOT waits AND NOT doubtful AND value AND told IS DISTINCT FROM true),
                  count(*) FILTER (wanted AND NOT waits AND NOT doubtful AND NOT value AND told AND is_current),
                  count(*) FILTER (wanted AND NOT waits AND NOT doubtful AND NOT value AND told AND NOT is_current),
                  count(*) FILTER (wanted AND NOT waits AND NOT doubtful AND value AND told AND moved),
                  count(*) FILTER (value AND told AND NOT doubtful AND NOT moved),
                  count(*) FILTER (wanted AND NOT waits AND doubtful),
                  count(*) FILTER (wanted AND waits),
                  count(*) FILTER (is_current AND told),
                  count(*) FILTER (is_current AND told AND NOT value),
                  count(*) FILTER (told OR (told IS NULL AND doubtful))
           FROM pairs""",
    )
    more = user_properties.listed(properties)
    # It makes a plan easy to compare with another, and is not worth the memory that sorting wide rows takes.
    order = "ORDER BY trait, user_id, value" if len(properties) <= _MOST_SORTED_PROPERTIES else ""
    planned = f"SELECT trait, user_id, value{more} FROM pairs WHERE wanted AND NOT waits {order}"
    engine.execute(write_parquet(planned, to, group_rows=user_properties.group_rows(properties)))
    return Diff(to, *map(int, counts))


def _pairs(engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None, terms: PlanTerms) -> str:
    """Return the query of all pairs: what is wanted, what was delivered, and whether it is to be sent now."""
    is_full = "false" if terms.mode == "incremental" else "true"
    waits = f"refused >= {REJECTIONS_BEFORE_WAITING}" if terms.mode == "incremental" else "false"
    trait, listed = literal(terms.trait), user_properties.listed(membership.property_names)
    return f"""SELECT *, (told IS DISTINCT FROM value OR doubtful OR moved OR {is_full}) AS wanted, ({waits}) AS waits
        FROM (
            SELECT trait, user_id, member IS NOT NULL AS value, told, trait = {trait} AS is_current,
                   coalesce(in_doubt, false) AS doubtful, coalesce(refused, 0) AS refused,
                   coalesce(moved, false) AS moved{listed}
            FROM ({pairs_query(state)}) FULL OUTER JOIN (
                SELECT {trait} AS trait, * FROM ({_members(engine, membership, state)})
            ) USING (trait, user_id)
        )"""


def _members(engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None) -> str:
    """Return the query of the members, ``user_id, member, moved``, and what to send of each property."""
    properties = membership.property_names
    members = f"SELECT user_id, true AS member FROM {parquet_rows(membership.path)} WHERE user_id IS NOT NULL"
    if membership.properties is None or not properties:
        return f"SELECT *, false AS moved FROM ({members})"
    known = user_properties.names_in(engine, state)
    told = {name: f"told.{user_properties.column(name)}" if name in known else "NULL::VARCHAR" for name in properties}
    now = {name: f"now.{user_properties.column(name)}" for name in properties}
    moved = " OR ".join(user_properties.moved(now[name], told[name]) for name in properties)
    sent = ", ".join(user_properties.to_send(name, now[name], told[name]) for name in properties)
    return f"""SELECT members.user_id, member, moved{user_properties.listed(properties)}
        FROM ({members}) members LEFT JOIN (
            SELECT now.user_id, ({moved}) AS moved, {sent}
            FROM {parquet_rows(membership.properties)} now
            LEFT JOIN ({properties_query(state)}) told USING (user_id)
        ) USING (user_id)"""
