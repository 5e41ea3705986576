"""Begin a task of an operator: plain parameters, and the links that a person may need before it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.links.task_links import push_links, push_no_links
from airflow_provider_amplitude_segment.task.parameters import (
    read_cohort_id,
    read_connection_id,
    read_connection_ids,
)
from airflow_provider_amplitude_segment.task.plain_values import make_plain

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.task.settings import DestinationParameters
    from airflow_provider_amplitude_segment.task.verify_settings import VerifyParameters


def begin_task(operator: DestinationParameters | VerifyParameters, ti: Any) -> None:
    """Make the operator's rendered parameters plain values, and push the task's links, before any request.

    Raises:
        SettingError: a parameter that the links need is wrong; the links are pushed as empty texts.
    """
    try:
        make_plain(operator)
        cohort_id = read_cohort_id(operator.cohort_id)
        # Only the sync operator has an Amplitude connection.
        amplitude = getattr(operator, "amplitude_conn_id", None)
        amplitude_conn_id = None if amplitude is None else read_connection_id("amplitude_conn_id", amplitude)
        segment_conn_ids = read_connection_ids(operator.segment_conn_id)
    except SettingError:
        push_no_links(ti)
        raise
    push_links(ti, cohort_id=cohort_id, amplitude_conn_id=amplitude_conn_id, segment_conn_ids=segment_conn_ids)
