"""Which changes of a plan carry an event for a journey: `entered` and `exited` of incremental syncs (ADR 0035).

No event has a change of a first sync (unless asked for), of ``full``, of a retirement or of an earlier trait key, a
changed property, and a change that is sent again from doubt. A change of which the ledger proves that its event was
never sent carries it: ``event_owed`` in the state.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, OWED, EventTerms

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal, PlanMode
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


def event_terms(settings: SyncSettings, cohort_name: str) -> EventTerms | None:
    """Return what a plan's events are called; ``None`` where events are off."""
    if settings.events == "off":
        return None
    return EventTerms(
        cohort_name,
        settings.entered_event,
        settings.exited_event,
        is_at_least_once=settings.events == "at-least-once",
    )


def has_events(newest: Plan | Commit | None, mode: PlanMode, settings: SyncSettings) -> bool:
    """Return whether the changes of a plan in ``mode`` after ``newest`` carry events."""
    if mode != "incremental":
        return False
    return settings.events_on_first_sync or not is_first_sync(newest)


def is_first_sync(newest: Plan | Commit | None) -> bool:
    """Return whether no sync has ended since the ledger began, or since the cohort was retired."""
    if newest is None:
        return True
    if isinstance(newest, Plan):
        return newest.base is None or newest.mode == "retire"
    mode = newest.report.get("mode")
    # A corrective commit has no report; after a retirement, the trait key is of no task.
    return mode == "retire" or (mode is None and newest.origin is None)


def fingerprint_part(settings: SyncSettings) -> list[object]:
    """Return what a plan's fingerprint has of the events; nothing where they are off."""
    if settings.events == "off":
        return []
    names = [settings.entered_event, settings.exited_event]
    return [{"events": settings.events, "names": names, "first": settings.events_on_first_sync}]


def event_condition(*, carries: bool, is_at_least_once: bool) -> str:
    """Return the condition that a pair of trait and user has an event, of the columns of ``plan.diff``.

    A journey that is owed an event has seen neither the entry nor the exit, so the opposite move cancels it. At least
    once, it may have seen it, so the opposite move has its event too. A member who is known under an earlier trait key
    has not entered: the cohort was renamed.
    """
    if not carries:
        return "false"
    entered = "value AND delivered IS DISTINCT FROM true AND (is_elsewhere IS NULL OR is_owed_elsewhere)"
    exited = "NOT value AND delivered IS NOT DISTINCT FROM true"
    moved = f"CASE WHEN value THEN {entered} ELSE {exited} END"
    owed = "true" if is_at_least_once else f"{OWED} = value"
    return f"(is_current AND CASE WHEN {OWED} IS NOT NULL THEN {owed} ELSE NOT in_doubt AND {moved} END)"


def numbered(order: str) -> str:
    """Return the column of a plan's changes that numbers its events."""
    return f"CASE WHEN has_event THEN row_number() OVER (PARTITION BY has_event {order}) - 1 END AS {NUMBER}"


def warn_of_doubt(label: str, plan: Plan, journal: Journal) -> None:
    """Warn of the events of an abandoned plan that may have been sent, and are not sent again."""
    if count := journal.events.in_doubt.count:
        log.warning(
            "%s: %s events of plan %s may have been sent, and were not acknowledged. They are not sent again, because "
            "events is not 'at-least-once'.",
            label,
            f"{count:,}",
            plan.generation,
        )
