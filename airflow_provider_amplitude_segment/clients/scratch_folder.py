"""The scratch folder of a run, made in the worker's temporary folder (``TMPDIR``) and removed after it."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.scratch import PREFIX
from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


@contextmanager
def open_scratch() -> Iterator[Path]:
    """Make a folder that only its owner can read; remove it with its files at the end of the context.

    A folder that cannot be removed is logged as a warning with its name, and fails no task.

    Raises:
        EngineError: there is no temporary folder, or no folder can be made in it. Nothing was done.
    """
    try:
        # Python tries TMPDIR, TEMP and TMP, then /tmp and others
        # (https://docs.python.org/3/library/tempfile.html#tempfile.gettempdir).
        scratch = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        folder = Path(error.filename).parent if error.filename else os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
        raise EngineError(type(error).__name__, str(folder), error.strerror or str(error)) from error
    path = Path(scratch.name)
    try:
        with scratch:
            yield path
    finally:
        if path.exists():
            log.warning("%s cannot be removed. It holds user IDs of a cohort. Remove it by hand.", path)
