"""Compare a membership with a state.

The wanted value is ``true`` for each member under the current trait key, and ``false`` for every other pair of trait
key and user in the state. A rename, a rename back and an edited template need no rule of their own, because the old
key's pairs are "other pairs".

``incremental`` sends the pairs that are in doubt, whose delivered value differs, or whose member is not in the state.
It also sends a member with a changed user property. ``full`` sends all pairs. A pair that was rejected in three syncs
is sent only by ``full``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import remove_scratch
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, OWED, SPENT
from airflow_provider_amplitude_segment.core.ledger.owed_events import event_columns
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, properties_query
from airflow_provider_amplitude_segment.core.plan.events import event_condition, is_owed, numbered

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.entry import PlanMode, TraitOrigin
    from airflow_provider_amplitude_segment.core.ledger.event_columns import EventTerms
    from airflow_provider_amplitude_segment.core.membership.membership import Membership


_MOST_SORTED_PROPERTIES = 8

REJECTIONS_BEFORE_WAITING = 3
"""After so many syncs that rejected a pair of trait and user, only ``full`` sends it."""


@dataclass(frozen=True, slots=True)
class Diff:
    """The changes for one destination, and their counts.

    ``planned == entered + exited + retired + changed + in_doubt`` in ``incremental``; ``full`` also sends the unchanged
    pairs.

    Attributes:
        changes: Parquet ``trait, user_id, value``, ordered by these; it has ``planned`` rows. Each user property adds a
            column with what to send; with many properties, the rows have no order.
        planned: identifies to send.
        entered: members whose delivered value under the current key is not ``true``.
        exited: users with ``true`` under the current key who are no longer members.
        retired: users with ``true`` under an earlier key.
        changed: members with ``true`` and a changed user property.
        unchanged: members with ``true`` and no changed property, not in doubt.
        in_doubt: pairs sent again because a response was lost or the user was rejected; in no count above.
        skipped: pairs that were rejected three times and wait for ``full``.
        known_true: users last delivered as ``true`` under any key, in doubt or not: a rename hides no one from the
            guard.
        leaving: those of ``known_true`` who are no longer members.
        known: pairs under any key that Segment may hold as ``true``.
        events: changes with an event for a journey; ``None`` where events are off.
    """

    changes: Path
    planned: int
    entered: int
    exited: int = 0
    retired: int = 0
    changed: int = 0
    unchanged: int = 0
    in_doubt: int = 0
    skipped: int = 0
    known_true: int = 0
    leaving: int = 0
    known: int = 0
    events: int | None = None


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a plan is made for, decided before the comparison.

    Attributes:
        trait: the trait key that is sent.
        mode: ``incremental`` sends what differs, ``full`` everything, ``retire`` ``false`` for every pair.
        export_request_id: the export that is delivered; empty for a retirement.
        origin: the task that named the trait key; ``None`` for a retirement.
        exported_epoch: when the membership was exported, in seconds since 1970; 0 for a retirement.
        events: what the plan's events are called; ``None`` where events are off.
        carries_events: the changes that are an entry or an exit have an event.
    """

    trait: str
    mode: PlanMode
    export_request_id: str = ""
    origin: TraitOrigin | None = None
    exported_epoch: float = 0.0
    events: EventTerms | None = None
    carries_events: bool = False


def diff_membership(
    engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None, terms: PlanTerms, to: Path
) -> Diff:
    """Compare a membership with a state, and write the changes.

    Args:
        engine: a DuckDB connection.
        membership: the members, and their user properties where those are sent.
        state: the values last delivered; ``None`` if there are none yet.
        terms: the current trait key, and the mode; ``retire`` sends unchanged pairs too, as ``full`` does.
        to: the Parquet file to write.
    """
    properties = membership.property_names
    columns = f"trait, user_id, value{user_properties.listed(properties)}"
    # The order makes two plans easy to compare; it is not worth the memory that sorting wide rows takes.
    order = "ORDER BY trait, user_id, value" if len(properties) <= _MOST_SORTED_PROPERTIES else ""
    group_rows = user_properties.group_rows(properties)
    if state is None:
        # All have one trait and one value.
        pairs = _pairs(engine, membership, state, terms)
        if terms.events is not None:
            pairs = f"SELECT *, {_first_number(terms)} AS {NUMBER} FROM ({pairs})"
            columns = f"{columns}, {NUMBER}"
        added = f"SELECT {columns} FROM ({pairs}) {order and 'ORDER BY user_id'}"
        engine.execute(write_parquet(added, to, group_rows=group_rows))
        diff = Diff(to, planned=membership.members, entered=membership.members)
        return diff if terms.events is None else _with_events(engine, diff)
    # The outer join is evaluated once. What it leaves out are members with ``true``, who need no message.
    due = to.with_name("due.parquet")
    pairs = f"SELECT * EXCLUDE (rejections) FROM ({_pairs(engine, membership, state, terms)}) WHERE is_due"
    engine.execute(write_parquet(pairs, due, group_rows=group_rows))
    diff = _with_earlier_keys(engine, due, membership, _count(engine, due, membership.members, to))
    more = f", {numbered('ORDER BY trait, user_id')}" if terms.events is not None else ""
    planned = f"SELECT {columns}{more} FROM {parquet_rows(due)} WHERE is_sent {order}"
    engine.execute(write_parquet(planned, to, group_rows=group_rows))
    remove_scratch(due)
    return diff if terms.events is None else _with_events(engine, diff)


def _first_number(terms: PlanTerms) -> str:
    return "row_number() OVER (ORDER BY user_id) - 1" if terms.carries_events else "NULL::BIGINT"


def _with_events(engine: duckdb.DuckDBPyConnection, diff: Diff) -> Diff:
    (events,) = one_row(engine, f"SELECT count({NUMBER}) FROM {parquet_rows(diff.changes)}")
    return replace(diff, events=int(events))


def _count(engine: duckdb.DuckDBPyConnection, due: Path, members: int, changes: Path) -> Diff:
    """Return the counts of a diff, by its pairs that are due and by the number of members."""
    counts = one_row(
        engine,
        f"""SELECT count(*) FILTER (value),
                   count(*) FILTER (is_sent),
                   count(*) FILTER (is_sent AND NOT in_doubt AND value AND delivered IS DISTINCT FROM true),
                   count(*) FILTER (is_sent AND NOT in_doubt AND NOT value AND delivered AND is_current),
                   count(*) FILTER (is_sent AND NOT in_doubt AND NOT value AND delivered AND NOT is_current),
                   count(*) FILTER (is_sent AND NOT in_doubt AND value AND delivered AND has_changed),
                   count(*) FILTER (value AND delivered AND NOT in_doubt AND NOT has_changed),
                   count(*) FILTER (is_sent AND in_doubt),
                   count(*) FILTER (NOT is_sent),
                   count(*) FILTER (is_current AND delivered),
                   count(*) FILTER (is_current AND delivered AND NOT value),
                   count(*) FILTER (delivered OR (delivered IS NULL AND in_doubt))
            FROM {parquet_rows(due)}""",
    )
    due_members, planned, entered, exited, retired, changed, repeated, in_doubt, skipped, current, leaving, known = map(
        int, counts
    )
    others = members - due_members
    return Diff(
        changes,
        planned=planned,
        entered=entered,
        exited=exited,
        retired=retired,
        changed=changed,
        unchanged=repeated + others,
        in_doubt=in_doubt,
        skipped=skipped,
        known_true=current + others,
        leaving=leaving,
        known=known + others,
    )


def _with_earlier_keys(engine: duckdb.DuckDBPyConnection, due: Path, membership: Membership, diff: Diff) -> Diff:
    """Count for the guard the users who are ``true`` under an earlier key only, for example all after a rename."""
    earlier = "delivered AND NOT is_current"
    if one_row(engine, f"SELECT count(*) FILTER ({earlier}) FROM {parquet_rows(due)}") == (0,):
        return diff
    # The current pair of a member is due unless it is delivered as true, and that of a former member if it is.
    leaving, entering = one_row(
        engine,
        f"""SELECT count(*) FILTER (NOT is_known AND found IS NULL), count(*) FILTER (NOT is_known AND is_entering)
            FROM (
                SELECT user_id, bool_or(is_current AND coalesce(delivered, false)) AS is_known,
                       bool_or(value AND delivered IS DISTINCT FROM true) AS is_entering
                FROM {parquet_rows(due)} GROUP BY user_id HAVING bool_or({earlier})
            ) LEFT JOIN (
                SELECT user_id, true AS found FROM {parquet_rows(membership.path)}
            ) USING (user_id)
        """,
    )
    return replace(diff, known_true=diff.known_true + leaving + entering, leaving=diff.leaving + leaving)


def _pairs(engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None, terms: PlanTerms) -> str:
    """Return the query of all pairs: ``value`` is wanted, ``is_due`` if it differs, ``is_sent`` if it does not wait."""
    is_full = "false" if terms.mode == "incremental" else "true"
    waits = f"rejections >= {REJECTIONS_BEFORE_WAITING}" if terms.mode == "incremental" else "false"
    trait, listed = literal(terms.trait), user_properties.listed(membership.property_names)
    has_events = terms.events is not None and state is not None
    compared = _with_event(engine, state, terms) if has_events else "compared"
    return f"""WITH compared AS (
            SELECT trait, user_id, member IS NOT NULL AS value, delivered, trait = {trait} AS is_current,
                   coalesce(in_doubt, false) AS in_doubt, coalesce(rejections, 0) AS rejections,
                   coalesce(has_changed, false) AS has_changed{listed}
            FROM ({pairs_query(state)}) FULL OUTER JOIN (
                SELECT {trait} AS trait, * FROM ({_members(engine, membership, state)})
            ) USING (trait, user_id)
        )
        SELECT *, (delivered IS DISTINCT FROM value OR in_doubt OR has_changed OR {is_full}) AS is_due,
               (is_due AND NOT ({waits})) AS is_sent
        FROM {compared}"""


def _with_event(engine: duckdb.DuckDBPyConnection, state: Path | None, terms: PlanTerms) -> str:
    """Return the table of the compared pairs with ``has_event``; an event that is owed sends a pair again."""
    at_least_once = terms.events is not None and terms.events.is_at_least_once
    pairs = pairs_query(state, event_columns(engine, state))
    owed = is_owed(is_at_least_once=at_least_once)
    return f"""(
            SELECT compared.* REPLACE (in_doubt OR (is_current AND {owed}) AS in_doubt),
                   {event_condition(carries=terms.carries_events, is_at_least_once=at_least_once)} AS has_event
            FROM compared LEFT JOIN (
                SELECT trait, user_id, {OWED}, {SPENT} FROM ({pairs})
            ) USING (trait, user_id) LEFT JOIN (
                SELECT user_id, true AS is_elsewhere, coalesce(bool_or({OWED} AND {owed}), false) AS is_owed_elsewhere
                FROM ({pairs}) WHERE trait <> {literal(terms.trait)} AND (delivered OR in_doubt) GROUP BY user_id
            ) USING (user_id)
        )"""


def _members(engine: duckdb.DuckDBPyConnection, membership: Membership, state: Path | None) -> str:
    """Return the query of the members: ``user_id, member, has_changed``, and what to send of each property."""
    properties = membership.property_names
    members = f"SELECT user_id, true AS member FROM {parquet_rows(membership.path)} WHERE user_id IS NOT NULL"
    if membership.properties is None or not properties:
        return f"SELECT *, false AS has_changed FROM ({members})"
    known = user_properties.names_in(engine, state)
    delivered = {
        name: f"state.{user_properties.column(name)}" if name in known else "NULL::VARCHAR" for name in properties
    }
    now = {name: f"now.{user_properties.column(name)}" for name in properties}
    has_changed = " OR ".join(user_properties.has_changed(now[name], delivered[name]) for name in properties)
    to_send = ", ".join(user_properties.to_send(name, now[name], delivered[name]) for name in properties)
    return f"""SELECT members.user_id, member, has_changed{user_properties.listed(properties)}
        FROM ({members}) members LEFT JOIN (
            SELECT now.user_id, ({has_changed}) AS has_changed, {to_send}
            FROM {parquet_rows(membership.properties)} now
            LEFT JOIN ({properties_query(state)}) state USING (user_id)
        ) USING (user_id)"""
