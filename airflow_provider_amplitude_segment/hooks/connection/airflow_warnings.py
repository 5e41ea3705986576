"""Drop Airflow's warnings about short values and about its own look-up while a connection is read."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# SecretsMasker.add_mask(): https://github.com/apache/airflow/blob/main/shared/secrets_masker
_SHORT_VALUE = "Skipping masking for a secret as it's too short"

# Of Airflow's own look-ups, which 3.0 and 3.1 deprecate: by BaseHook on 3.0, of a variable AIRFLOW_CONN_… on 3.1.
# https://github.com/apache/airflow/blob/3.1.8/airflow-core/src/airflow/models/connection.py
_DEPRECATION = r"Using Connection\.\w+ from `airflow\.models` is deprecated"


@contextmanager
def without_airflows_own_warnings() -> Iterator[None]:
    """Drop Airflow's warnings about short values and about its own look-up inside of the context.

    Airflow 3 passes all of Extra to its masker, which warns about a short value before it checks the value's name. So
    each task with ``{"region": "EU"}`` would warn about a secret. Keys of Amplitude and Segment have 32 characters.
    """
    handlers = [*logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(_is_another)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _DEPRECATION, DeprecationWarning)
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_another)


def _is_another(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_SHORT_VALUE)
