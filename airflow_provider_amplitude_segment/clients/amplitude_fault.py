"""Why no response of Amplitude came: a transient fault, or an error that no retry cures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.exceptions import AmplitudeUnreachableError

if TYPE_CHECKING:
    import requests

    from airflow_provider_amplitude_segment.core.http.network_fault import At, NetworkFault


def transient_fault(
    doing: str, error: requests.RequestException, spent: str = "", at: At = "connection"
) -> NetworkFault:
    """Return why no response came, where a retry may succeed.

    Args:
        doing: What the request was for, in words.
        error: What was raised instead of a response.
        spent: What the error says about the month's exports, after the reason.
        at: Where the fields to change are.

    Raises:
        AmplitudeUnreachableError: No retry cures it.
    """
    fault = read_fault(error, at)
    if fault.is_lasting:
        raise AmplitudeUnreachableError(doing, f"{fault.reason}{spent}", fault.advice) from None
    return fault
