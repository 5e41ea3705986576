"""Choose the syncs that get a row of their own, because no report says which cohort and destination they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_amplitude_segment.ui.report_xcoms import ReportXCom
    from airflow_provider_amplitude_segment.ui.task_instances import Instance
    from airflow_provider_amplitude_segment.ui.unreported import UnreportedInstance


def first_syncs(
    unreported: Iterable[UnreportedInstance],
    reports: Iterable[tuple[str, ReportXCom]],
    asking: Collection[Instance],
) -> list[UnreportedInstance]:
    """Return the syncs that still matter: one for each task, map index and cohort.

    A sync that ended is left out if a later run has reported: for the same cohort, or for the same task where the
    sync's cohort is not known.

    Args:
        unreported: task instances that belong to no row.
        reports: the reports of the rows, each with its cohort.
        asking: task instances that wait for a decision; they come before later ones.
    """
    by_cohort: dict[str, list[ReportXCom]] = {}
    by_task: dict[tuple[str, str], list[ReportXCom]] = {}
    for cohort_id, xcom in reports:
        by_cohort.setdefault(cohort_id, []).append(xcom)
        by_task.setdefault((xcom.dag_id, xcom.task_id), []).append(xcom)
    chosen: dict[tuple[str, str, int, str | None], UnreportedInstance] = {}
    for one in sorted(unreported, key=lambda one: (one.instance in asking, one.started_at)):
        its = one.instance
        if one.cohort_id is not None:
            related = by_cohort.get(one.cohort_id, [])
        else:
            related = by_task.get((its.dag_id, its.task_id), [])
        if one.is_at_work or not any(_is_later(xcom, one) for xcom in related):
            chosen[its.dag_id, its.task_id, its.map_index, one.cohort_id] = one
    return list(chosen.values())


def _is_later(xcom: ReportXCom, one: UnreportedInstance) -> bool:
    # Mapped instances of one run may sync one cohort to several destinations.
    is_other_run = (xcom.dag_id, xcom.run_id) != (one.instance.dag_id, one.instance.run_id)
    return is_other_run and xcom.at > one.started_at
