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
    reports: Iterable[tuple[str, str, ReportXCom]],
    asking: Collection[Instance],
) -> list[UnreportedInstance]:
    """Return the syncs that still matter: one for each task, map index and cohort.

    A sync that ended is left out if a later run of its task has reported for its cohort, or for any cohort where the
    sync's cohort is not known. It is left out too if later runs of other tasks have reported for its cohort at each
    connection that it was rendered with.

    Args:
        unreported: task instances that belong to no row.
        reports: the reports of the rows, each with its cohort and its connection.
        asking: task instances that wait for a decision; they come before later ones.
    """
    by_task: dict[tuple[str, str, str | None], list[ReportXCom]] = {}
    by_connection: dict[tuple[str, str], list[ReportXCom]] = {}
    for cohort_id, segment_conn_id, xcom in reports:
        by_task.setdefault((xcom.dag_id, xcom.task_id, None), []).append(xcom)
        by_task.setdefault((xcom.dag_id, xcom.task_id, cohort_id), []).append(xcom)
        by_connection.setdefault((cohort_id, segment_conn_id), []).append(xcom)
    chosen: dict[tuple[str, str, int, str | None], UnreportedInstance] = {}
    for one in sorted(unreported, key=lambda one: (one.instance in asking, one.started_at)):
        its = one.instance
        of_task = by_task.get((its.dag_id, its.task_id, one.cohort_id), [])
        of_each = [by_connection.get((one.cohort_id or "", name), []) for name in one.segment_conn_ids]
        is_over = _has_later(of_task, one) or (bool(of_each) and all(_has_later(found, one) for found in of_each))
        if one.is_at_work or not is_over:
            chosen[its.dag_id, its.task_id, its.map_index, one.cohort_id] = one
    return list(chosen.values())


def _has_later(xcoms: Iterable[ReportXCom], one: UnreportedInstance) -> bool:
    # Mapped instances of one run may sync one cohort to several destinations.
    run = (one.instance.dag_id, one.instance.run_id)
    return any((xcom.dag_id, xcom.run_id) != run and xcom.at > one.started_at for xcom in xcoms)
