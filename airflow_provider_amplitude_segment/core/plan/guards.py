"""Refuse a sync that looks wrong before anything is sent; the ledger stays unchanged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import (
    EmptyCohortError,
    ExitRatioError,
    TraitConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan, TraitOrigin
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Stream
    from airflow_provider_amplitude_segment.core.membership.membership import Membership
    from airflow_provider_amplitude_segment.core.plan.diff import Diff
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


MIN_LEAVING = 100
"""``max_exit_ratio`` applies only if at least so many members leave."""


def check_origins(newest: Mapping[Stream, Plan | Commit | None], trait: str, run: Run, settings: SyncSettings) -> None:
    """Refuse a sync that would retire a trait of another task, because each task would undo the other's changes.

    A task may edit its own template, and two tasks may share a template. A dry run is only warned.

    Args:
        newest: the newest entry of each stream's ledger.
        trait: the trait key that this sync would send.
        run: whose task it is.
        settings: ``trait_name`` and ``on_trait_change``; only ``retire`` is refused.

    Raises:
        TraitConflictError: another task named the trait of this destination; no export was spent.
    """
    for stream, entry in newest.items():
        origin = entry.origin if entry is not None else None
        if entry is None or origin is None or settings.on_trait_change != "retire" or entry.trait == trait:
            continue
        if not is_of_another_task(origin, run, settings.trait_name):
            continue
        error = TraitConflictError(
            stream.destination.segment_conn_id,
            _other_task(origin, run),
            entry.trait,
            origin.template,
            trait,
            settings.run_configuration,
        )
        if not settings.dry_run:
            raise error
        log.warning("A sync would be refused: %s", error.summary)


def is_of_another_task(origin: TraitOrigin, run: Run, template: str) -> bool:
    """Return whether another task, with another template, named a trait key.

    Two map indexes of one DAG run count as two tasks, because a template is not edited within a DAG run. One task in
    two Airflows counts as two, because each Airflow runs its own copy of the DAG.

    >>> from airflow_provider_amplitude_segment.core.ledger.entry import TraitOrigin
    >>> from airflow_provider_amplitude_segment.core.ledger.stream import Run
    >>> origin = TraitOrigin("daily.sync", "{cohort_name}", dag_run="monday", run_key="monday.0")
    >>> is_of_another_task(origin, Run("", "tuesday", task="weekly.sync", dag_run="w"), "{cohort_id}")
    True
    >>> is_of_another_task(origin, Run("", "tuesday.1", task="daily.sync", dag_run="tuesday"), "{cohort_id}")
    False
    >>> is_of_another_task(origin, Run("", "monday.1", task="daily.sync", dag_run="monday"), "{cohort_id}")
    True
    >>> blue = TraitOrigin("daily.sync", "{cohort_name}", dag_run="monday", run_key="monday.0", installation="blue")
    >>> runs = [Run("", "t", task="daily.sync", dag_run="t", installation=airflow) for airflow in ("blue", "green")]
    >>> [is_of_another_task(blue, run, "{cohort_id}") for run in runs]
    [False, True]
    """
    if origin.template == template:
        return False
    if origin.task != run.task or _is_elsewhere(origin, run):
        return True
    return origin.dag_run == run.dag_run and origin.run_key != run.key


def _is_elsewhere(origin: TraitOrigin, run: Run) -> bool:
    """Return whether another Airflow than the run's named a trait key; false if the entry names no installation."""
    return bool(origin.installation) and origin.installation != run.installation


def _other_task(origin: TraitOrigin, run: Run) -> str:
    """Return the other task's name, for a reader."""
    if _is_elsewhere(origin, run):
        is_alike = origin.airflow == run.airflow
        return f"{origin.task} in {'another Airflow, also at' if is_alike else 'Airflow'} {origin.airflow!r}"
    return origin.task if origin.task != run.task else f"{origin.task}, with another map index"


def is_suddenly_empty(membership: Membership, diff: Diff) -> bool:
    """Return whether the export has no member although the state has some."""
    return membership.members == 0 and diff.known > 0


def check_guards(diff: Diff, membership: Membership, settings: SyncSettings, segment_conn_id: str) -> None:
    """Refuse a sync that looks wrong. The ratio counts users with ``true`` under any key of the cohort.

    So a rename alone trips nothing, and users who leave in the same sync count. An empty cohort that
    ``on_empty_cohort`` allows is not held to the ratio.

    Raises:
        EmptyCohortError: the export has no member although the state has some.
        ExitRatioError: at least 100 users leave, and more than ``max_exit_ratio`` allows.
    """
    configuration, ratio = settings.run_configuration, settings.max_exit_ratio
    if is_suddenly_empty(membership, diff):
        if settings.on_empty_cohort == "fail":
            raise EmptyCohortError(segment_conn_id, diff.known, membership.anonymous, configuration)
        return
    if ratio is None or diff.leaving < MIN_LEAVING:
        return
    if diff.leaving > ratio * diff.known_true:
        raise ExitRatioError(segment_conn_id, diff.leaving, diff.known_true, ratio, configuration)
