"""Guards: a sync that looks wrong is refused before anything is sent, and the ledger stays as it was."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.exceptions import (
    EmptyCohortError,
    ExitRatioError,
    FewExportsLeftError,
    GuardError,
    TraitConflictError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.cohort_export import Usage
    from airflow_provider_amplitude_segment.core.diff import Diff
    from airflow_provider_amplitude_segment.core.draft import Draft
    from airflow_provider_amplitude_segment.core.entry import Commit, Plan, TraitOrigin
    from airflow_provider_amplitude_segment.core.membership import Membership
    from airflow_provider_amplitude_segment.core.report import SyncReport
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.core.stream import Run, Stream

log = logging.getLogger(__name__)

EmptyCohortPolicy = Literal["fail", "sync", "skip"]

MIN_LEAVING = 100
"""So many members at least must be leaving before their share is looked at."""


def check_exports_left(
    usage: Usage | None, *, min_exports_left: int, run_configuration: Mapping[str, Any]
) -> int | None:
    """Refuse to spend an export when fewer are left this month than must be.

    What Amplitude's usage answers is not documented, so a usage that is not known refuses nothing and is logged.

    Returns:
        Exports left; ``None`` where that is not known.

    Raises:
        FewExportsLeftError: fewer than ``min_exports_left`` are left.
    """
    if usage is None:
        log.warning(
            "Amplitude does not tell how many exports are left this month, so min_exports_left=%d refuses nothing",
            min_exports_left,
        )
        return None
    if usage.left < min_exports_left:
        raise FewExportsLeftError(usage.left, min_exports_left, usage.resets_at, run_configuration)
    log.info("%s of %s exports are left this month", f"{usage.left:,}", f"{usage.limit:,}")
    return usage.left


def check_origins(newest: Mapping[Stream, Plan | Commit | None], trait: str, run: Run, settings: SyncSettings) -> None:
    """Refuse a sync that would retire a trait which another task keeps up: each would undo what the other one does.

    An edited template of one task is no conflict, nor are two tasks with the same template, whose traits are equal.
    A dry run is only warned.

    Args:
        newest: the newest entry of each stream's ledger.
        trait: the trait key that this sync would send.
        run: whose task it is.
        settings: ``trait_name`` and ``on_trait_change``, of which only ``retire`` is refused.

    Raises:
        TraitConflictError: of the first destination where another task named the trait; no export was spent.
    """
    for stream, entry in newest.items():
        origin = entry.origin if entry is not None else None
        if entry is None or origin is None or settings.on_trait_change != "retire" or entry.trait == trait:
            continue
        if not is_anothers(origin, run, settings.trait_name):
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
        log.warning("A sync would be refused: %s", error)


def is_anothers(origin: TraitOrigin, run: Run, template: str) -> bool:
    """Tell whether another task, with another template, named a trait key.

    A task that is mapped over templates is two: in one DAG run it does not edit its template. So is a task of two
    Airflows: each runs its own copy of the DAG.

    >>> from airflow_provider_amplitude_segment.core.entry import TraitOrigin
    >>> from airflow_provider_amplitude_segment.core.stream import Run
    >>> origin = TraitOrigin("daily.sync", "{cohort_name}", dag_run="monday", run_key="monday.0")
    >>> is_anothers(origin, Run("", "tuesday", task="weekly.sync", dag_run="w"), "{cohort_id}")
    True
    >>> is_anothers(origin, Run("", "tuesday.1", task="daily.sync", dag_run="tuesday"), "{cohort_id}")
    False
    >>> is_anothers(origin, Run("", "monday.1", task="daily.sync", dag_run="monday"), "{cohort_id}")
    True
    >>> blue = TraitOrigin("daily.sync", "{cohort_name}", dag_run="monday", run_key="monday.0", installation="blue")
    >>> runs = [Run("", "t", task="daily.sync", dag_run="t", installation=airflow) for airflow in ("blue", "green")]
    >>> [is_anothers(blue, run, "{cohort_id}") for run in runs]
    [False, True]
    """
    if origin.template == template:
        return False
    if origin.task != run.task or _is_elsewhere(origin, run):
        return True
    return origin.dag_run == run.dag_run and origin.run_key != run.key


def _is_elsewhere(origin: TraitOrigin, run: Run) -> bool:
    """Return whether a trait key was named in another Airflow than the run's; an old entry does not say where."""
    return bool(origin.installation) and origin.installation != run.installation


def _other_task(origin: TraitOrigin, run: Run) -> str:
    """Return the words that name the other task to a reader."""
    if _is_elsewhere(origin, run):
        is_alike = origin.airflow == run.airflow
        return f"{origin.task} in {'another Airflow, also at' if is_alike else 'Airflow'} {origin.airflow!r}"
    return origin.task if origin.task != run.task else f"{origin.task}, with another map index"


def check_drafts(
    drafts: Sequence[Draft], membership: Membership, settings: SyncSettings, report: SyncReport
) -> tuple[SyncReport, str | None]:
    """Apply the guards to all destinations; a dry run only notes what they say.

    Returns:
        The report, with what a guard said of a destination, and why the sync is to be skipped, if it is.

    Raises:
        GuardError: of the first destination that refuses.
    """
    for draft in drafts:
        if draft.diff is None:
            continue
        destination = draft.stream.destination
        try:
            check_guards(
                draft.diff,
                membership,
                destination=destination.segment_conn_id,
                on_empty_cohort=settings.on_empty_cohort,
                max_exit_ratio=settings.max_exit_ratio,
                run_configuration=settings.run_configuration,
            )
        except GuardError as error:
            if not settings.dry_run:
                raise
            report = report.with_destination(replace(report.destination(destination.name), error=str(error)))
            log.warning("A sync would be refused: %s", error)
        is_empty = is_suddenly_empty(membership, draft.diff)
        if is_empty and settings.on_empty_cohort == "skip" and not settings.dry_run:
            return report, f"the export has no member, and {draft.diff.known:,} are known (on_empty_cohort='skip')"
    return report, None


def is_suddenly_empty(membership: Membership, diff: Diff) -> bool:
    """Tell whether the export has no member where members were known."""
    return membership.members == 0 and diff.known > 0


def check_guards(
    diff: Diff,
    membership: Membership,
    *,
    destination: str,
    on_empty_cohort: EmptyCohortPolicy,
    max_exit_ratio: float | None,
    run_configuration: Mapping[str, Any],
) -> None:
    """Refuse a sync that looks wrong. Only users told ``true`` under the current key count.

    A cohort that may be empty (``on_empty_cohort`` other than ``fail``) has no ratio to exceed.

    Raises:
        EmptyCohortError: no member where members were known.
        ExitRatioError: more leave than ``max_exit_ratio`` allows, and at least 100.
    """
    if is_suddenly_empty(membership, diff):
        if on_empty_cohort == "fail":
            raise EmptyCohortError(destination, diff.known, membership.anonymous, run_configuration)
        return
    if max_exit_ratio is None or diff.leaving < MIN_LEAVING:
        return
    if diff.leaving > max_exit_ratio * diff.told:
        raise ExitRatioError(destination, diff.leaving, diff.told, max_exit_ratio, run_configuration)
