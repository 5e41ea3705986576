"""Amplitude's Behavioral Cohorts API over HTTP: https://amplitude.com/docs/apis/analytics/behavioral-cohorts."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

import requests

from airflow_provider_amplitude_segment.clients.amplitude_fault import transient_fault
from airflow_provider_amplitude_segment.clients.export_file import ExportFiles
from airflow_provider_amplitude_segment.clients.request import (
    ends_announced,
    never_connected,
    received,
    send,
    suppress_request_logs,
)
from airflow_provider_amplitude_segment.core.export.cohort import read_cohorts
from airflow_provider_amplitude_segment.core.export.download import (
    Download,
)
from airflow_provider_amplitude_segment.core.export.response_errors import is_success, is_transient
from airflow_provider_amplitude_segment.core.export.responses import (
    MAYBE_SPENT,
    property_query,
    read_export_request,
    read_export_status,
    read_usage,
)
from airflow_provider_amplitude_segment.core.http.response_body import (
    CUT_OFF,
    is_cut_object,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, RetryPolicy, read_retry_after
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeUnavailableError,
    AmplitudeUnreachableError,
    ExportCutOffError,
    SettingError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.core.export.responses import (
        ExportCompleted,
        ExportPending,
        ExportRequested,
        ExportsLimited,
        Usage,
    )

log = logging.getLogger(__name__)

RETRIES = RetryPolicy(retries=4, base_seconds=1.0, cap_seconds=30.0)
"""Of a question that costs nothing to ask again. What asks more patience is the caller's waiting."""

_LONGEST_ASKED_WAIT_SECONDS = 60.0


class AmplitudeClient:
    """Asks Amplitude, on behalf of one project.

    Safe to use from several threads. Messages and logs hold IDs of cohorts and exports, never a credential or
    a signed link.

    Args:
        session: Carries the project's credentials.
        storage_session: Carries none, and never adds any by itself; fetches files from storage.
        base_url: Scheme and host, e.g. ``https://amplitude.com``.
        timeout_seconds: Longest silence of a server.
        sleep: How to wait; seconds.
        random: A number in [0, 1), for the jitter.
        now: Seconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        session: requests.Session,
        storage_session: requests.Session,
        base_url: str,
        timeout_seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._storage_session = storage_session
        self._files = ExportFiles(session, storage_session, timeout_seconds, now)
        self.base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._sleep = sleep
        self._random = random
        self._now = now

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the keys along: Airflow 2.11 can be set to pickle XComs.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("AmplitudeClient", "what it read, and take a client from the hook in each task")

    def list_cohorts(self, *, retries: int = RETRIES.retries) -> tuple[Cohort, ...]:
        """Return all discoverable cohorts of the project, in Amplitude's order.

        Args:
            retries: How often to ask again; 0 where somebody waits for the answer.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnavailableError: No answer, a part of one, 429 or 5xx, each time.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures.
            AmplitudeAnswerError: Something else answered.
        """
        response = self._ask("/api/3/cohorts", "listing the cohorts", retries=retries)
        return read_cohorts(response.status_code, response.content, is_end_announced=ends_announced(response))

    def usage(self) -> Usage | None:
        """Return this month's exports by Amplitude's count; ``None`` where it does not tell, why ever."""
        try:
            response = self._ask("/api/3/cohorts/usage", "reading the usage")
        except (AmplitudeUnavailableError, AmplitudeUnreachableError):
            return None
        return read_usage(response.status_code, response.content)

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        """Request an export, which counts against the month's, once; with a column for each user property.

        Asked again only while no connection came about at all. Whatever else goes wrong may have been
        counted.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnavailableError: No answer, a part of one, or 5xx; says whether an export may have been spent.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures; no export was spent.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: Something else answered.
        """
        doing = "requesting an export"
        url = self._url(f"/api/5/cohorts/request/{_path_part(cohort_id)}{property_query(user_properties)}")
        for retry in range(1, RETRIES.retries + 2):
            try:
                response = self._get(url)
            except requests.RequestException as error:
                fault = transient_fault(doing, error, "; no export was spent")
                if not never_connected(error):
                    said = f"{fault.reason}; {MAYBE_SPENT}"
                    raise AmplitudeUnavailableError(doing, None, said, fault.advice) from None
                if retry > RETRIES.retries:
                    said = f"{fault.reason}; no export was spent"
                    raise AmplitudeUnavailableError(doing, None, said, fault.advice) from None
                self._wait(doing, fault.reason, None, retry)
                continue
            break
        return read_export_request(received(response), now=self._now())

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | RetryLater:
        """Ask once how an export is doing; a network's failure is an :class:`RetryLater` without a status.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures.
            ExportFailedError: Any other 4xx but 408 and 429.
            AmplitudeAnswerError: A redirect.
        """
        try:
            response = self._get(self._url(f"/api/5/cohorts/request-status/{_path_part(request_id)}"))
        except requests.RequestException as error:
            return RetryLater(None, None, transient_fault("asking after an export", error).reason)
        return read_export_status(request_id, received(response), now=self._now())

    def download(self, request_id: str, to: Path) -> Download:
        """Fetch the file of a completed export, byte for byte as it comes: gzip is not undone.

        A cut download and an expired link are begun anew from the same export, which costs none.

        Args:
            request_id: A completed export's.
            to: Written anew, readable by its owner only. Not there unless this returns.

        Returns:
            Its length, and whether its end was announced: where it was not, a part may be missing.

        Raises:
            AmplitudeCredentialsError: 401 and 403 from Amplitude (not from its storage).
            AmplitudeUnavailableError: Amplitude or its storage did not give the file, five times.
            AmplitudeUnreachableError: No connection to one of them, for a reason that no retry cures.
            ExportCutOffError: The file ended early, five times.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: Something else answered, or the link was not https.
            EngineError: The worker's disk does not take the file.
        """
        doing = f"fetching the file of export {request_id}"
        url = self._url(f"/api/5/cohorts/request/{_path_part(request_id)}/file")
        retry = 0
        while True:
            retry += 1
            after: float | None = None
            fault: ExportCutOffError | AmplitudeUnavailableError
            try:
                with suppress_request_logs():
                    fetched = self._files.fetch(url, request_id, to)
            except ExportCutOffError as error:
                fault, said = error, error.fault
            else:
                if isinstance(fetched, Download):
                    return fetched
                fault = AmplitudeUnavailableError(doing, fetched.status, fetched.reason)
                said = fetched.said
                after = fetched.after_seconds
            if retry > RETRIES.retries:
                raise fault
            self._wait(doing, said, after, retry)

    def close(self) -> None:
        """Close the connections to Amplitude and to storage."""
        self._session.close()
        self._storage_session.close()

    def _url(self, path: str) -> str:
        return f"{self.base_url}{path}"

    def _get(self, url: str) -> requests.Response:
        return send(self._session, "GET", url, timeout_seconds=self._timeout_seconds)

    def _ask(self, path: str, doing: str, *, retries: int = RETRIES.retries) -> requests.Response:
        """Ask what costs nothing to ask again; the last answer is returned whatever its status."""
        retry = 0
        while True:
            retry += 1
            try:
                response = self._get(self._url(path))
            except requests.RequestException as error:
                fault = transient_fault(doing, error)
                said, after = fault.reason, None
                if retry > retries:
                    raise AmplitudeUnavailableError(doing, None, said, fault.advice) from None
            else:
                is_cut = is_success(response.status_code) and is_cut_object(
                    response.content, is_end_announced=ends_announced(response)
                )
                if retry > retries or not (is_cut or is_transient(response.status_code)):
                    return response
                said = CUT_OFF if is_cut else f"HTTP {response.status_code}"
                after = read_retry_after(response.headers.get("Retry-After"), now=self._now())
            self._wait(doing, said, after, retry)

    def _wait(self, doing: str, said: str, after: float | None, retry: int) -> None:
        seconds = RETRIES.back_off_seconds(retry, self._random())
        if after is not None:
            seconds = min(max(after, seconds), _LONGEST_ASKED_WAIT_SECONDS)
        log.warning("Amplitude: %s: %s. Asking again in %.1f s.", doing, said, seconds)
        self._sleep(seconds)


def _path_part(name: str) -> str:
    """Return an ID as one part of a URL's path."""
    if not name.strip("."):
        takes = "Amplitude's ID, letters and digits"
        raise SettingError("the ID of a cohort or an export", f"{name!r} is not one", takes)
    return quote(name, safe="", errors="replace")
