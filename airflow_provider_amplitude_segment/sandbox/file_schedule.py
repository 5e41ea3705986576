"""The cadence of cohort files: a set of each cohort, each so many seconds."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox.cohort_files import CohortFiles

_LOG = logging.getLogger(__name__)


class FileSchedule:
    """Writes the files of all cohorts at the start and then each ``every`` seconds of real time, in a daemon thread."""

    def __init__(self, files: CohortFiles, every: float) -> None:
        self._files = files
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amplitude-segment-cohort-files", daemon=True)

    def start(self) -> None:
        """Write the first sets now."""
        self._thread.start()

    def stop(self) -> None:
        """End after the set that is being written."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._files.write_all()
            except Exception as error:  # noqa: BLE001 - a store may fail in any way, and the next time comes
                _LOG.warning("No cohort files were written to %s: %s", self._files.target, error)
            self._stop.wait(self._every)
