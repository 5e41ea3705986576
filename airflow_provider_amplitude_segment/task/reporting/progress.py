"""Progress where Airflow's UI and API show it: the task state store, which Airflow has from 3.3 on.

One key, ``amplitude_segment_progress``, e.g. ``{"step": "Send to Segment", "try_number": 1, "at":
"2026-11-24T03:00:07Z", "destinations": {"segment_default": {"delivered": 12000, "planned": 40000, "per_second": 1000,
"seconds_left": 28}}}``.

Nothing reads it back: Airflow keeps it when a task is cleared. It is deleted when a sync has ended well, as the report
then says more; a try that failed or was killed leaves how far it came.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

KEY = "amplitude_segment_progress"

_SECONDS_BETWEEN_WRITES = 5.0
_LONGEST_GOODBYE_SECONDS = 5.0

_Outcome = TypeVar("_Outcome")


class ProgressStore:
    """Writes what it is shown every few seconds, from a thread of its own: the store may be slow, the sync is not.

    The thread lives only during the sync, while nothing else asks Airflow for anything: ``dag.test()`` has one
    unlocked line to it.
    """

    def __init__(self, store: Any, try_number: int, *, seconds_between_writes: float = _SECONDS_BETWEEN_WRITES) -> None:
        """Take an accessor with ``set`` and ``delete``, or ``None``: then nothing is written."""
        self._store = store
        self._seconds_between_writes = seconds_between_writes
        self._lock = threading.Lock()
        self._progress: dict[str, Any] = {"step": "Begin", "try_number": try_number}
        self._destinations: dict[str, dict[str, Any]] = {}
        self._is_new = False
        self._ended = threading.Event()
        self._has_failed = False

    def during(self, work: Callable[[], _Outcome]) -> _Outcome:
        """Do the work, and show meanwhile how far it is.

        What was shown last stays where it ends with an error, or is to be resumed.
        """
        if self._store is None:
            return work()
        writer = threading.Thread(target=self._write_repeatedly, name="progress", daemon=True)
        writer.start()
        is_over = False
        try:
            outcome = work()
            is_over = not isinstance(outcome, ExportIncomplete)
        finally:
            self._ended.set()
            writer.join(_LONGEST_GOODBYE_SECONDS)
            if not (writer.is_alive() or self._has_failed):
                self._delete() if is_over else self._write()
        return outcome

    def show(self, facts: Mapping[str, Any]) -> None:
        """Remember facts for the next write: a ``step``, or a ``destination``'s."""
        with self._lock:
            if "destination" in facts:
                told = dict(facts)
                self._destinations[told.pop("destination")] = told
            else:
                self._progress.update(facts)
            self._is_new = True

    def _write_repeatedly(self) -> None:
        pause = min(1.0, self._seconds_between_writes)
        while not self._ended.wait(pause) and not self._has_failed:
            self._write()
            pause = self._seconds_between_writes

    def _write(self) -> None:
        with self._lock:
            if not self._is_new:
                return
            self._is_new = False
            progress = {**self._progress, "at": timestamp(time.time())}
            if self._destinations:
                progress["destinations"] = {name: dict(told) for name, told in self._destinations.items()}
        self._attempt(lambda: self._store.set(KEY, progress))

    def _delete(self) -> None:
        self._attempt(lambda: self._store.delete(KEY))

    def _attempt(self, ask: Callable[[], object]) -> None:
        """Ask the store; where it fails, say so once, and let the sync go on without it."""
        try:
            ask()
        except Exception as error:  # noqa: BLE001 - whatever the API server has, the sync does not depend on it
            self._has_failed = True
            log.warning(
                "Progress is not shown any more: the task state store failed (%s). The sync goes on.",
                type(error).__name__,
            )
