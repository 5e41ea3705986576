"""What a deferred task resumes with: the trigger's event. It crossed a process, so it is not trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import ExportTimeoutError, ExportWaitError
from airflow_provider_amplitude_segment.task.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
    from airflow_provider_amplitude_segment.task.settings import SyncParameters


def read_event(operator: SyncParameters, event: Mapping[str, Any]) -> AmplitudeSegmentError | None:
    """Return what the trigger met that a later try may cure.

    An error that no retry cures is not taken from it: the worker asks Amplitude again, and meets it itself.
    """
    request_id = str(event.get("request_id") or "")
    match event.get("status"):
        case "timeout":
            said = str(event.get("last_status") or "nothing")
            return ExportTimeoutError(request_id, read_settings(operator).export_timeout, said)
        case "error" if event.get("retryable"):
            return ExportWaitError(request_id, str(event.get("message")))
        case _:
            return None
