"""How a sync's errors end an Airflow task."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def translate_errors() -> Iterator[None]:
    """Keep Airflow from retrying what cannot get better by itself.

    :raises AirflowFailException: instead of an error that no retry cures; any other passes as it is.
    """
    try:
        yield
    except AmplitudeSegmentError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error
