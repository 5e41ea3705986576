"""An export: request it once, and wait until it is completed.

A request spends one of the month's exports. So a transient response to a poll (429, 5xx, a status that the documents
do not have) never leads to a second request. 429 to the request itself has two causes: the month's exports are spent,
which the usage shows, or too many exports run at once, which is transient.
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
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.core.export.download import Download

log = logging.getLogger(__name__)

_WAIT_WHEN_LIMITED_SECONDS = 20.0
"""Amplitude takes 4 exports a minute and 5 at once of a project, so a place becomes free soon."""

_LONGEST_ASKED_WAIT_SECONDS = 300.0
"""A longer ``Retry-After`` is cut to this, because Amplitude documents none, and its limits are per minute."""

_SECONDS_BETWEEN_LINES = 60.0
"""Between log lines while an export's status stays the same, because an export may take an hour."""


class Amplitude(Protocol):
    """The Amplitude that a sync reads from."""

    def list_cohorts(self) -> tuple[Cohort, ...]:
        """Return the discoverable cohorts of the project."""

    def usage(self) -> Usage | None:
        """Return how many exports are spent this month; ``None`` where Amplitude does not report it."""

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        """Request an export, with a column for each user property."""

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | RetryLater:
        """Poll an export's status."""

    def download(self, request_id: str, to: Path) -> Download:
        """Fetch an export's file, byte for byte."""


@dataclass(frozen=True, slots=True)
class CohortExporter:
    """Requests exports and waits for them.

    Attributes:
        amplitude: where.
        poll_interval: seconds between polls of an export's status.
        export_timeout: seconds that this try waits, from the start of the wait.
        clock: time.
        stop: set when the task is to end.
    """

    amplitude: Amplitude
    poll_interval: float
    export_timeout: float
    clock: Clock
    stop: threading.Event

    def request(self, cohort_id: str, user_properties: Sequence[str] = ()) -> str:
        """Request an export, and return its request ID, to be saved before the next step.

        Raises:
            ExportsSpentError: the month's exports are spent.
            ExportTimeoutError: Amplitude accepted no request within ``export_timeout``.
        """
        began = self.clock.monotonic()
        while True:
            response = self.amplitude.request_export(cohort_id, user_properties)
            if isinstance(response, ExportRequested):
                return response.request_id
            usage = self.amplitude.usage()
            if usage is not None and usage.usage >= usage.limit:
                raise ExportsSpentError(usage.usage, usage.limit, usage.resets_at)
            log.info("Amplitude runs as many exports as it allows (HTTP 429). No export was spent. Waiting to retry.")
            wait = min(response.after_seconds or _WAIT_WHEN_LIMITED_SECONDS, _LONGEST_ASKED_WAIT_SECONDS)
            self._pause(wait, began, None, "too many exports at once, HTTP 429")

    def await_completion(self, request_id: str, *, wait_for_export: bool) -> bool:
        """Poll until the export is completed, and return ``True``.

        With ``wait_for_export=False`` poll once, and return whether it is completed.

        Raises:
            ExportTimeoutError: it was not completed within ``export_timeout``; the next try waits for the same one.
        """
        began = logged = self.clock.monotonic()
        last_said = ""
        while True:
            response = self.amplitude.export_status(request_id)
            if isinstance(response, ExportCompleted):
                return True
            if not wait_for_export:
                return False
            said, wait = response.said, poll_wait_seconds(response, self.poll_interval)
            waited = self.clock.monotonic() - began
            if said != last_said or began + waited - logged >= _SECONDS_BETWEEN_LINES:
                log.info("Export %s: Amplitude says %s, %.0f s so far", request_id, said, waited)
                last_said, logged = said, began + waited
            self._pause(wait, began, request_id, said)

    def _pause(self, seconds: float, began: float, request_id: str | None, last_status: str) -> None:
        waited = self.clock.monotonic() - began
        if waited + seconds > self.export_timeout:
            raise ExportTimeoutError(request_id, waited, last_status)
        if self.clock.wait(seconds, self.stop):
            raise SyncStoppedError(None, 0)


def poll_wait_seconds(response: ExportPending | RetryLater, poll_interval: float) -> float:
    """Return how long to wait before the next poll of an export's status.

    >>> [poll_wait_seconds(RetryLater(429, after), poll_interval=10.0) for after in (None, 5.0, 60.0, 9_999.0)]
    [10.0, 10.0, 60.0, 300.0]
    >>> poll_wait_seconds(ExportPending("JOB INPROGRESS"), poll_interval=10.0)
    10.0
    """
    asked = response.after_seconds if isinstance(response, RetryLater) else None
    return max(poll_interval, min(asked or 0.0, _LONGEST_ASKED_WAIT_SECONDS))


def check_exports_left(
    usage: Usage | None, *, min_exports_left: int, run_configuration: Mapping[str, Any]
) -> int | None:
    """Refuse to request an export when fewer than ``min_exports_left`` are left this month.

    A usage that is not known is logged and not checked, because Amplitude does not document its response.

    Returns:
        Exports left; ``None`` where that is not known.

    Raises:
        FewExportsLeftError: fewer than ``min_exports_left`` are left.
    """
    if usage is None:
        log.warning(
            "Amplitude does not report how many exports are left this month, so min_exports_left=%d is not checked",
            min_exports_left,
        )
        return None
    if usage.left < min_exports_left:
        raise FewExportsLeftError(usage.left, min_exports_left, usage.resets_at, run_configuration)
    log.info("%s of %s exports are left this month", f"{usage.left:,}", f"{usage.limit:,}")
    return usage.left
