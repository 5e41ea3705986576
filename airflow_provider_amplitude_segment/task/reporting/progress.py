"""Write progress to the task state store, which Airflow has from 3.3 on and shows in its UI and API.

One key, ``amplitude_segment_progress``, e.g. ``{"step": "Send to Segment", "try_number": 1, "at":
"2026-11-24T03:00:07Z", "destinations": {"segment_default": {"delivered": 12000, "planned": 40000, "per_second": 1000,
"seconds_left": 28}}}``.

No code reads it back. It is deleted when a sync succeeds, because the report then says more. A try that fails or is
killed leaves its last progress, which Airflow keeps when a task is cleared.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.core.report.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

KEY = "amplitude_segment_progress"

_SECONDS_BETWEEN_WRITES = 5.0
_MOST_SECONDS_FOR_THE_LAST_WRITE = 5.0

_Outcome = TypeVar("_Outcome")


class ProgressStore:
    """Writes progress every few seconds, from a thread of its own, because a slow store must not slow the sync.

    The thread runs only during the sync, because ``dag.test()`` has one connection to Airflow, without a lock.
    """

    def __init__(self, store: Any, try_number: int, *, seconds_between_writes: float = _SECONDS_BETWEEN_WRITES) -> None:
        """Take an accessor with ``set`` and ``delete``, or ``None`` to write nothing."""
        self._store = store
        self._seconds_between_writes = seconds_between_writes
        self._lock = threading.Lock()
        self._progress: dict[str, Any] = {"step": "Begin", "try_number": try_number}
        self._destinations: dict[str, dict[str, Any]] = {}
        self._is_new = False
        self._ended = threading.Event()
        self._has_failed = False

    def during(self, work: Callable[[], _Outcome]) -> _Outcome:
        """Do the work, and write its progress meanwhile.

        The last progress stays where the work ends with an error, an incomplete export or a question.
        """
        if self._store is None:
            return work()
        writer = threading.Thread(target=self._write_repeatedly, name="progress", daemon=True)
        writer.start()
        is_over = False
        try:
            outcome = work()
            is_over = not isinstance(outcome, ExportIncomplete | Question)
        finally:
            self._ended.set()
            writer.join(_MOST_SECONDS_FOR_THE_LAST_WRITE)
            if not (writer.is_alive() or self._has_failed):
                self._delete() if is_over else self._write()
        return outcome

    def show(self, facts: Mapping[str, Any]) -> None:
        """Keep facts for the next write: a ``step``, or those of a ``destination``."""
        with self._lock:
            if "destination" in facts:
                counts = dict(facts)
                self._destinations[counts.pop("destination")] = counts
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
                progress["destinations"] = {name: dict(counts) for name, counts in self._destinations.items()}
        self._attempt(lambda: self._store.set(KEY, progress))

    def _delete(self) -> None:
        self._attempt(lambda: self._store.delete(KEY))

    def _attempt(self, request: Callable[[], object]) -> None:
        """Send a request to the store; after a failure, log it once and write no more."""
        try:
            request()
        except Exception as error:  # noqa: BLE001 - the sync does not depend on the API server's store
            self._has_failed = True
            log.warning(
                "Progress is not shown any more: the task state store failed (%s). The sync continues.",
                type(error).__name__,
            )
