"""The difference between who is in the cohort and what Segment was told.

Wanted is ``true`` under the current trait key for members, and ``false`` for every other pair of trait key and user
that the state knows. A rename, a rename back and an edited template need no rule of their own: the old key's pairs are
"other pairs". To tell are the pairs that are in doubt, told otherwise, or never told and members; all of them in
``full``. A pair refused in three syncs waits for ``full``. A member one of whose user properties has another value than
was told is told again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine import literal, one_row
from airflow_provider_amplitude_segment.core.state import state_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.membership import Membership

SyncMode = Literal["incremental", "full"]

REFUSALS_BEFORE_WAITING = 3
"""Syncs that may end with a user refused before the user is left until ``full``."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What a sync would tell one destination.

    ``planned == entered + exited + retired + changed + in_doubt`` in ``incremental``; ``full`` repeats what is known on
    top.

    Attributes:
        changes: Parquet ``trait, user_id, value``, ordered by them; holds ``planned`` rows. With user properties, also
            ``properties`` to send, of members.
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


def diff_membership(  # four values in, one file and its counts out
    engine: duckdb.DuckDBPyConnection,
    membership: Membership,
    state: Path | None,
    *,
    trait: str,
    mode: SyncMode,
    to: Path,
    properties: Sequence[str] = (),
) -> Diff:
    """Compare a membership with a state, and write what is to tell.

    Args:
        engine: a DuckDB connection.
        membership: who is in the cohort.
        state: what Segment was told; ``None`` for nothing yet.
        trait: the current trait key.
        mode: ``incremental`` tells what differs, ``full`` everything.
        to: the Parquet file to write.
        properties: names of the user properties that go along; the membership has them.
    """
    engine.execute(f"CREATE OR REPLACE TEMP VIEW pairs AS {_pairs(engine, membership, state, trait, mode, properties)}")
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
    more = f", {user_properties.COLUMN}" if properties else ""
    engine.execute(
        f"""COPY (
            SELECT trait, user_id, value{more} FROM pairs WHERE wanted AND NOT waits ORDER BY trait, user_id, value
        ) TO {literal(to)} (FORMAT parquet, COMPRESSION zstd)"""
    )
    return Diff(to, *map(int, counts))


def _pairs(
    engine: duckdb.DuckDBPyConnection,
    membership: Membership,
    state: Path | None,
    trait: str,
    mode: SyncMode,
    properties: Sequence[str],
) -> str:
    """Return the query of all pairs: what is wanted, what was told, and whether it is to be told now."""
    members = f"SELECT {literal(trait)} AS trait, user_id, true AS member"
    joined, moved, sent = "", "false", ""
    if properties:
        known, joined = _known_properties(engine, state, trait)
        members += f", {user_properties.COLUMN} AS now"
        moved = f"(member IS NOT NULL AND {user_properties.moved(properties, 'now', known)})"
        to_send = user_properties.to_send(properties, "now", known)
        sent = f", CASE WHEN member IS NOT NULL THEN {to_send} END AS {user_properties.COLUMN}"
    is_full = "true" if mode == "full" else "false"
    waits = "false" if mode == "full" else f"refused >= {REFUSALS_BEFORE_WAITING}"
    return f"""SELECT *, (told IS DISTINCT FROM value OR doubtful OR moved OR {is_full}) AS wanted, ({waits}) AS waits
        FROM (
            SELECT trait, user_id, member IS NOT NULL AS value, told, trait = {literal(trait)} AS is_current,
                   coalesce(in_doubt, false) AS doubtful, coalesce(refused, 0) AS refused, {moved} AS moved{sent}
            FROM ({state_query(state)}) state FULL OUTER JOIN (
                {members} FROM read_parquet({literal(membership.path)}) WHERE user_id IS NOT NULL
            ) members USING (trait, user_id) {joined}
        )"""


def _known_properties(engine: duckdb.DuckDBPyConnection, state: Path | None, trait: str) -> tuple[str, str]:
    """Return the expression of the properties that a member was told of, under whatever key, and what to join for it.

    A trait that comes of a property is not named after the cohort, so what was told along with an earlier key stands on
    the profile still. The current key's are the newest.
    """
    told = user_properties.traits_with(engine, state)
    known = [f"state.{user_properties.COLUMN}"] if trait in told else []
    joined = ""
    for number, earlier in enumerate(sorted(told - {trait})):
        known.insert(0, f"earlier{number}.{user_properties.COLUMN}")
        joined += f""" LEFT JOIN (
                SELECT {literal(trait)} AS trait, user_id, {user_properties.COLUMN}
                FROM ({state_query(state)}) WHERE trait = {literal(earlier)}
            ) earlier{number} USING (trait, user_id)"""
    return user_properties.merged(known or ["NULL::VARCHAR"]), joined
