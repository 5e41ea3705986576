"""What Airflow remembers of earlier syncs: the ledger's generation, in an XCom of the task.

One for each cohort and destination, ``amplitude_segment:<cohort>:<destination>``, so that neither the order in which a
task is mapped nor a run by hand for another cohort mixes them up. Best effort: XComs are cleaned up, and a DAG that was
renamed has none.
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
    """Return the key, however long or odd the names are.

    >>> xcom_key("26umsb5", "3f1c~77aa")
    'amplitude_segment:26umsb5:3f1c~77aa'
    """
    return ":".join(["amplitude_segment", folder_name(cohort_id), destination_folder(destination), *more])


def pull_generations(ti: Any, cohort_id: str, destinations: Iterable[Destination]) -> dict[str, int]:
    """Return by destination the highest generation that a run of this task left, where one did.

    :param ti: the task instance, of either Airflow line.
    :param cohort_id: whose syncs.
    :param destinations: of this sync.
    """
    found = {d.name: _newest_left(ti, xcom_key(cohort_id, d.name)) for d in destinations}
    return {name: generation for name, generation in found.items() if generation is not None}


def find_changed(ti: Any, report: SyncReport) -> tuple[DestinationReport, ...]:
    """Return the destinations of which there is something that no sync which ended well has announced yet.

    That is what this one planned, but also what an earlier one told before it failed: then this one starts from another
    generation than the one announced last.

    :param ti: the task instance.
    :param report: of a sync that is committed.
    """
    return tuple(
        told
        for told in report.destinations
        if told.planned or told.follows != (_newest_left(ti, _announced_key(report, told)) or 0)
    )


def push_announced(ti: Any, report: SyncReport) -> None:
    """Leave the generation of each destination as announced: the task is about to succeed, or has no news."""
    for told in report.destinations:
        if told.generation is not None:
            ti.xcom_push(key=_announced_key(report, told), value=told.generation)


def push_generations(ti: Any, report: SyncReport) -> None:
    """Leave the generation of each destination that was told something."""
    for destination in report.destinations:
        if destination.generation is not None:
            ti.xcom_push(key=xcom_key(report.cohort_id, destination.destination), value=destination.generation)


def _announced_key(report: SyncReport, told: DestinationReport) -> str:
    return xcom_key(report.cohort_id, told.destination, "announced")


def _newest_left(ti: Any, key: str) -> int | None:
    left = ti.xcom_pull(task_ids=ti.task_id, key=key, include_prior_dates=True)
    # 2.11 gives one value, or a lazy sequence for a mapped task; 3.x gives a list over all runs.
    values = left if isinstance(left, Iterable) and not isinstance(left, str | dict) else [left]
    return max((value for value in values if isinstance(value, int) and not isinstance(value, bool)), default=None)
