"""What Airflow remembers of earlier syncs: the ledger's generation, in an XCom of the task.

One for each cohort and destination, ``amplitude_segment:<cohort>:<destination>``, so that neither the order in which a
task is mapped nor a run by hand for another cohort mixes them up. Best effort: XComs are cleaned up, and a DAG that was
renamed has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.stream import destination_folder, folder_name

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report import SyncReport
    from airflow_provider_amplitude_segment.core.stream import Destination


def xcom_key(cohort_id: str, destination: str) -> str:
    """Return the key, however long or odd the names are.

    >>> xcom_key("26umsb5", "3f1c~77aa")
    'amplitude_segment:26umsb5:3f1c~77aa'
    """
    return ":".join(["amplitude_segment", folder_name(cohort_id), destination_folder(destination)])


def recall(ti: Any, cohort_id: str, destinations: Iterable[Destination]) -> dict[str, int]:
    """Return by destination the highest generation that a run of this task left, where one did.

    :param ti: the task instance, of either Airflow line.
    :param cohort_id: whose syncs.
    :param destinations: of this sync.
    """
    remembered = {}
    for destination in destinations:
        left = ti.xcom_pull(task_ids=ti.task_id, key=xcom_key(cohort_id, destination.name), include_prior_dates=True)
        # 2.11 gives one value, or a lazy sequence for a mapped task; 3.x gives a list over all runs.
        values = left if isinstance(left, Iterable) and not isinstance(left, str | dict) else [left]
        if generations := [value for value in values if isinstance(value, int) and not isinstance(value, bool)]:
            remembered[destination.name] = max(generations)
    return remembered


def leave(ti: Any, report: SyncReport) -> None:
    """Leave the generation of each destination that was told something."""
    for destination in report.destinations:
        if destination.generation is not None:
            ti.xcom_push(key=xcom_key(report.cohort_id, destination.destination), value=destination.generation)
