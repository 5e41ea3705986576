"""Airflow's warning of a value that is too short to be masked: dropped while a connection is read."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# SecretsMasker.add_mask(): https://github.com/apache/airflow/blob/main/shared/secrets_masker
_WARNING = "Skipping masking for a secret as it's too short"


@contextmanager
def without_warning_of_short_values() -> Iterator[None]:
    """Drop that warning inside of the context.

    Airflow 3 hands all of Extra to its masker, which warns of a short value before it looks at its name. So each task
    of a connection with ``{"region": "EU"}`` would warn of a secret. Keys of Amplitude and Segment have 32 characters.
    """
    handlers = [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(_is_another)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_another)


def _is_another(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_WARNING)
