"""Record the generation of each sync in an XCom of the task, and read those of earlier syncs.

The key is ``amplitude_segment:<cohort>:<destination>``, because the order of mapped tasks may change and a manual
run may sync another cohort. Best effort: XComs are cleaned up, and a renamed DAG has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.object_names import destination_folder, folder_name

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

REPORT_XCOM_KEY = "sync_report"


def xcom_key(cohort_id: str, destination: str, *more: str) -> str:
    """Return the key; long or unusual names are shortened as in the state path.

    >>> xcom_key("26umsb5", "3f1c~77aa")
    'amplitude_segment:26umsb5:3f1c~77aa'
    """
    return ":".join(["amplitude_segment", folder_name(cohort_id), destination_folder(destination), *more])


def pull_generations(ti: Any, cohort_id: str, destinations: Iterable[Destination]) -> dict[str, int]:
    """Return the highest generation that a run of this task recorded, by destination; those without one are left out.

    :param ti: the task instance, of either Airflow line.
    :param cohort_id: whose syncs.
    :param destinations: of this sync.
    """
    found = {d.name: _newest_left(ti, xcom_key(cohort_id, d.name)) for d in destinations}
    return {name: generation for name, generation in found.items() if generation is not None}


def find_changed(ti: Any, report: SyncReport) -> tuple[DestinationReport, ...]:
    """Return the destinations with changes that no successful sync has announced yet.

    These are the changes that this sync planned, and those that an earlier sync delivered before it failed. In the
    second case this sync starts from another generation than the one last announced.

    :param ti: the task instance.
    :param report: of a committed sync.
    """
    return tuple(
        destination
        for destination in report.destinations
        if destination.planned or destination.follows != (_newest_left(ti, _announced_key(report, destination)) or 0)
    )


def push_announced(ti: Any, report: SyncReport) -> None:
    """Record each destination's generation as announced, because the task is about to succeed or to be skipped."""
    for destination in report.destinations:
        if destination.generation is not None:
            ti.xcom_push(key=_announced_key(report, destination), value=destination.generation)


def push_generations(ti: Any, report: SyncReport) -> None:
    """Record the generation of each destination that has one."""
    for destination in report.destinations:
        if destination.generation is not None:
            ti.xcom_push(key=xcom_key(report.cohort_id, destination.destination), value=destination.generation)


def _announced_key(report: SyncReport, destination: DestinationReport) -> str:
    return xcom_key(report.cohort_id, destination.destination, "announced")


def _newest_left(ti: Any, key: str) -> int | None:
    left = ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True)
    # 2.11 returns one value, or a lazy sequence for a mapped task; 3.x returns a list over all runs.
    values = left if isinstance(left, Iterable) and not isinstance(left, str | dict) else [left]
    return max((value for value in values if isinstance(value, int) and not isinstance(value, bool)), default=None)
