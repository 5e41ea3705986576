"""Read the trigger's event, which a deferred task resumes with and which may hold anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import ExportTimeoutError, ExportWaitError
from airflow_provider_amplitude_segment.task.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
    from airflow_provider_amplitude_segment.task.settings import SyncParameters


def read_event(operator: SyncParameters, event: Mapping[str, Any]) -> AmplitudeSegmentError | None:
    """Return the trigger's retryable error, or ``None`` where the task polls the export itself.

    An error that is not retryable returns ``None`` too, because the worker polls Amplitude again and raises it then.
    """
    request_id = str(event.get("request_id") or "")
    match event.get("status"):
        case "timeout":
            last_status = str(event.get("last_status") or "nothing")
            return ExportTimeoutError(request_id, read_settings(operator).export_timeout, last_status)
        case "error" if event.get("retryable"):
            return ExportWaitError(request_id, str(event.get("message")))
        case _:
            return None
