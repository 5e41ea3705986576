"""Translate a sync's errors into Airflow's."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def translate_errors() -> Iterator[None]:
    """Fail the task without a retry where a retry cannot help.

    :raises AirflowFailException: in place of an error that is not retryable. Other errors pass unchanged.
    """
    try:
        yield
    except AmplitudeSegmentError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
