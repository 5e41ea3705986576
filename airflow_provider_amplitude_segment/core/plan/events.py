"""Which changes of a plan carry an event for a journey: `entered` and `exited` of incremental syncs (ADR 0035).

No event has a change of a first sync (unless asked for), of ``full``, of a retirement or of an earlier trait key, a
changed property, and a change that is sent again from doubt: ``event_spent`` in the state. A change of which the ledger
proves that its event was never sent carries it: ``event_owed``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, OWED, SPENT, EventTerms

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Journal, PlanMode
    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


def event_terms(settings: SyncSettings, cohort_name: str, *, is_first_sync: bool) -> EventTerms:
    """Return what a plan's events are called, where events are on."""
    return EventTerms(
        cohort_name,
        settings.entered_event,
        settings.exited_event,
        is_at_least_once=settings.events == "at-least-once",
        is_first_sync=is_first_sync,
    )


def has_events(events: EventTerms, mode: PlanMode, settings: SyncSettings) -> bool:
    """Return whether the changes of a plan in ``mode`` carry events."""
    return mode == "incremental" and (settings.events_on_first_sync or not events.is_first_sync)


def follows_no_sync(newest: Plan | Commit | None, ledger: Ledger) -> bool:
    """Return whether no sync has ended since the ledger began, or since the cohort was retired.

    An abandoned plan with events remembers it; before one without, or of an earlier version, the newest commit says it.
    """
    if isinstance(newest, Plan):
        if newest.mode == "retire":
            return True
        if newest.events is not None and newest.events.is_first_sync is not None:
            return newest.events.is_first_sync
        commits = ledger.commits()
        newest = ledger.commit(commits[-1]) if commits else None
    if newest is None:
        return True
    mode = newest.report.get("mode")
    # A corrective commit has no report, and says it itself. In one of an earlier version, the trait key is of no task
    # after a retirement.
    return mode == "retire" or newest.follows_no_sync or (mode is None and newest.origin is None)


def fingerprint_part(settings: SyncSettings) -> list[object]:
    """Return what a plan's fingerprint has of the events; nothing where they are off."""
    if settings.events == "off":
        return []
    names = [settings.entered_event, settings.exited_event]
    return [{"events": settings.events, "names": names, "first": settings.events_on_first_sync}]


def event_condition(*, carries: bool, is_at_least_once: bool) -> str:
    """Return the condition that a pair of trait and user has an event, of the columns of ``plan.diff``.

    A journey that is owed an event has seen neither the entry nor the exit, so the opposite move has none, and cancels
    it when it is acknowledged. Where it may have seen it, the opposite move has its event too. A user in doubt has an
    event if no plan has wanted the value before. A member who is known under an earlier trait key has not entered: the
    cohort was renamed.
    """
    if not carries:
        return "false"
    is_spent = f"{SPENT} IS NOT DISTINCT FROM value"
    entered = "value AND delivered IS DISTINCT FROM true AND (is_elsewhere IS NULL OR is_owed_elsewhere)"
    exited = "NOT value AND delivered IS NOT DISTINCT FROM true"
    moved = f"CASE WHEN value THEN {entered} ELSE {exited} END"
    owed = "true" if is_at_least_once else f"NOT {is_spent} AND ({OWED} = value OR {OWED} = {SPENT})"
    doubt = f"compared.in_doubt AND {is_spent}"
    return f"(is_current AND CASE WHEN {OWED} IS NOT NULL THEN {owed} ELSE NOT ({doubt}) AND {moved} END)"


def is_owed(*, is_at_least_once: bool) -> str:
    """Return the condition that a pair's event is owed: at most once, none that may have been sent."""
    return f"({OWED} IS NOT NULL" + ("" if is_at_least_once else f" AND {SPENT} IS DISTINCT FROM {OWED}") + ")"


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
