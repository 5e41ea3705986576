"""Fold the events of a plan into the state: which are owed, and which values have no event any more (ADR 0035)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.engine_file import literal
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, OWED, SPENT, has_column

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.entry import Journal, Plan

NO_EVENTS = f"NULL::BOOLEAN AS {OWED}, NULL::BOOLEAN AS {SPENT}"
"""The columns of a row that is no pair of trait and user."""


def event_columns(engine: duckdb.DuckDBPyConnection, state: Path | None) -> str:
    """Return the columns ``event_owed`` and ``event_spent`` of a state, after a comma.

    A state without ``event_spent`` does not say what the last plan wanted of a pair in doubt, so the value that was not
    delivered has no event. An earlier version wrote ``event_owed`` alone; what is owed in it is sent.
    """
    if has_column(engine, state, SPENT):
        return f", {OWED}, {SPENT}"
    spent = "CASE WHEN in_doubt THEN delivered IS DISTINCT FROM true END"
    if has_column(engine, state, OWED):
        return f", {OWED}, CASE WHEN {OWED} IS NULL THEN {spent} END AS {SPENT}"
    return f", NULL::BOOLEAN AS {OWED}, {spent} AS {SPENT}"


def events_after(engine: duckdb.DuckDBPyConnection, plan: Plan, journal: Journal) -> str:
    """Return ``event_owed`` and ``event_spent`` after a plan, of ``state`` and ``planned``; make the table they need.

    A change without an event, such as one of ``full``, leaves an event owed if it sends the same value. Another value
    cancels it, because the journey has seen neither, but not before Segment acknowledges it: the user may move back
    first. One that may have been sent is cancelled at once. What is owed under an earlier trait key is cancelled.
    """
    ranges = journal.events.not_owed.pairs
    engine.execute(
        "CREATE OR REPLACE TEMP TABLE event_ranges AS "
        "SELECT unnest($1::BIGINT[]) AS first, unnest($2::BIGINT[]) AS last",
        [[first for first, _ in ranges], [last for _, last in ranges]],
    )
    is_current = f"trait = {literal(plan.trait)}"
    stays_owed = f"coalesce(state.{OWED} = planned.value AND {is_current}, false)"
    is_unsent = f"state.{SPENT} IS DISTINCT FROM state.{OWED}"
    is_kept = f"coalesce({is_current} AND (state.{OWED} = planned.value OR NOT planned.acked AND {is_unsent}), false)"
    # A plan that sends at least once does not write down what it starts; it starts after all identifies.
    is_unknown = plan.events is not None and plan.events.is_at_least_once and not journal.pending(plan.planned).pairs
    may_be_sent = "planned.acked" if is_unknown else "false"
    return f"""CASE WHEN planned.acked IS NULL THEN CASE WHEN {is_current} THEN state.{OWED} END
                    WHEN planned.{NUMBER} IS NULL THEN CASE WHEN {is_kept} THEN state.{OWED} END
                    WHEN NOT planned.is_event_settled THEN planned.value END AS {OWED},
               CASE WHEN planned.acked IS NULL THEN state.{SPENT}
                    WHEN planned.{NUMBER} IS NULL THEN
                        CASE WHEN {stays_owed} THEN state.{SPENT} WHEN NOT planned.acked THEN planned.value END
                    WHEN NOT planned.is_event_settled THEN
                        CASE WHEN {may_be_sent} THEN planned.value ELSE state.{SPENT} END END AS {SPENT}"""


def with_settled_events(planned: str) -> str:
    """Return the query of a plan's changes, with ``is_event_settled``: no later plan sends its event."""
    return f"""SELECT changes.*, coalesce(changes.{NUMBER} <= ranges.last, false) AS is_event_settled
               FROM {planned} changes ASOF LEFT JOIN event_ranges ranges ON changes.{NUMBER} >= ranges.first"""
