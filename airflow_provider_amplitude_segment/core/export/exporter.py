"""The order of an export: requested once, waited for, and fetched to the worker's disk.

An order costs one of the month's exports, so it is never repeated for an answer that says "later" (429 on the status,
a 5xx, a word the documents do not have). 429 on the request itself has two causes: the month is spent, which usage
tells, or too many exports at once, which passes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.core.export.responses import (
    ExportCompleted,
    ExportPending,
    ExportRequested,
    ExportsLimited,
    Usage,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import (
    ExportsSpentError,
    ExportTimeoutError,
    FewExportsLeftError,
    SyncStoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.export.responses import Usage


if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.core.export.download import Download

log = logging.getLogger(__name__)

_WAIT_FOR_A_PLACE_SECONDS = 20.0
"""Amplitude takes 4 exports a minute and 5 at once of a project, so a place is free again after a while."""


_LONGEST_ASKED_WAIT_SECONDS = 300.0
"""A longer ``Retry-After`` is cut to this: Amplitude documents none, and its limits are a minute's."""

_SECONDS_BETWEEN_LINES = 60.0
"""While an export's status stays the same; waiting may take an hour."""


class Amplitude(Protocol):
    """The Amplitude that a sync reads from."""

    def list_cohorts(self) -> tuple[Cohort, ...]:
        """Return the discoverable cohorts of the project."""
        ...

    def usage(self) -> Usage | None:
        """Return how many exports are spent this month, where Amplitude tells."""
        ...

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        """Spend an export, with a column for each user property."""
        ...

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | RetryLater:
        """Ask after an export."""
        ...

    def download(self, request_id: str, to: Path) -> Download:
        """Fetch an export's file as it is sent."""
        ...


@dataclass(frozen=True, slots=True)
class CohortExporter:
    """How exports are ordered and waited for.

    Attributes:
        amplitude: where.
        poll_interval: seconds between two questions after an export.
        export_timeout: seconds that this try wait_for_export, from its beginning.
        clock: time.
        stop: set when the task is to end.
    """

    amplitude: Amplitude
    poll_interval: float
    export_timeout: float
    clock: Clock
    stop: threading.Event

    def request(self, cohort_id: str, user_properties: Sequence[str] = ()) -> str:
        """Spend an export, and return its request ID, to be saved before anything else is done.

        Raises:
            ExportsSpentError: the month's exports are spent.
            ExportTimeoutError: no place became free within ``export_timeout``.
        """
        began = self.clock.monotonic()
        while True:
            answer = self.amplitude.request_export(cohort_id, user_properties)
            if isinstance(answer, ExportRequested):
                return answer.request_id
            usage = self.amplitude.usage()
            if usage is not None and usage.usage >= usage.limit:
                raise ExportsSpentError(usage.usage, usage.limit, usage.resets_at)
            log.info("Amplitude runs as many exports as it allows (HTTP 429); waiting for a place. None was spent.")
            wait = min(answer.after_seconds or _WAIT_FOR_A_PLACE_SECONDS, _LONGEST_ASKED_WAIT_SECONDS)
            self._pause(wait, began, None, "too many exports at once, HTTP 429")

    def await_completion(self, request_id: str, *, wait_for_export: bool) -> bool:
        """Wait until the export is complete, and return ``True``.

        With ``wait_for_export=False`` ask once, and return ``False`` where it is not.

        Raises:
            ExportTimeoutError: it was not complete within ``export_timeout``; the next try waits for the same one.
        """
        began = spoke = self.clock.monotonic()
        last_said = ""
        while True:
            answer = self.amplitude.export_status(request_id)
            if isinstance(answer, ExportCompleted):
                return True
            if not wait_for_export:
                return False
            said, wait = answer.said, poll_wait_seconds(answer, self.poll_interval)
            waited = self.clock.monotonic() - began
            if said != last_said or began + waited - spoke >= _SECONDS_BETWEEN_LINES:
                log.info("Export %s: Amplitude says %s, %.0f s so far", request_id, said, waited)
                last_said, spoke = said, began + waited
            self._pause(wait, began, request_id, said)

    def _pause(self, seconds: float, began: float, request_id: str | None, last_status: str) -> None:
        waited = self.clock.monotonic() - began
        if waited + seconds > self.export_timeout:
            raise ExportTimeoutError(request_id, waited, last_status)
        if self.clock.wait(seconds, self.stop):
            raise SyncStoppedError(None, 0)


def poll_wait_seconds(answer: ExportPending | RetryLater, poll_interval: float) -> float:
    """Return how long to wait before the next poll of an export's status.

    >>> [poll_wait_seconds(RetryLater(429, after), poll_interval=10.0) for after in (None, 5.0, 60.0, 9_999.0)]
    [10.0, 10.0, 60.0, 300.0]
    >>> poll_wait_seconds(ExportPending("JOB INPROGRESS"), poll_interval=10.0)
    10.0
    """
    asked = answer.after_seconds if isinstance(answer, RetryLater) else None
    return max(poll_interval, min(asked or 0.0, _LONGEST_ASKED_WAIT_SECONDS))


def check_exports_left(
    usage: Usage | None, *, min_exports_left: int, run_configuration: Mapping[str, Any]
) -> int | None:
    """Refuse to spend an export when fewer are left this month than must be.

    What Amplitude's usage answers is not documented, so a usage that is not known refuses nothing and is logged.

    Returns:
        Exports left; ``None`` where that is not known.

    Raises:
        FewExportsLeftError: fewer than ``min_exports_left`` are left.
    """
    if usage is None:
        log.warning(
            "Amplitude does not tell how many exports are left this month, so min_exports_left=%d refuses nothing",
            min_exports_left,
        )
        return None
    if usage.left < min_exports_left:
        raise FewExportsLeftError(usage.left, min_exports_left, usage.resets_at, run_configuration)
    log.info("%s of %s exports are left this month", f"{usage.left:,}", f"{usage.limit:,}")
    return usage.left
