"""Amplitude's Behavioral Cohorts API over HTTP: https://amplitude.com/docs/apis/analytics/behavioral-cohorts."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar
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
from airflow_provider_amplitude_segment.core.export.download import Download
from airflow_provider_amplitude_segment.core.export.response_errors import error_reason, is_success, is_transient
from airflow_provider_amplitude_segment.core.export.responses import (
    MAYBE_SPENT,
    POLLING,
    property_query,
    read_export_request,
    read_export_status,
    read_usage,
)
from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object
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
"""Of a request that spends no export. A longer wait, such as for an export, is the caller's."""

_LONGEST_ASKED_WAIT_SECONDS = 60.0

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class _Failure:
    """A try that failed, and that a later try may mend.

    Attributes:
        error: raised when no retry is left.
        reason: what happened, for the log.
        after_seconds: what ``Retry-After`` asks for; ``None`` where nothing does.
    """

    error: AmplitudeUnavailableError | ExportCutOffError
    reason: str
    after_seconds: float | None = None


class AmplitudeClient:
    """Sends requests to Amplitude on behalf of one project.

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
        sleep: Callable[[float], object] = time.sleep,
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
            retries: How often to retry; 0 where a person waits for the result.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnavailableError: No response, a part of one, 429 or 5xx, each time.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures.
            AmplitudeAnswerError: The response is not Amplitude's.
        """
        response = self._read("/api/3/cohorts", "listing the cohorts", retries=retries)
        return read_cohorts(response.status_code, response.content, is_end_announced=ends_announced(response))

    def usage(self) -> Usage | None:
        """Return this month's exports by Amplitude's count; ``None`` where Amplitude does not report it."""
        try:
            response = self._read("/api/3/cohorts/usage", "reading the usage")
        except (AmplitudeUnavailableError, AmplitudeUnreachableError):
            return None
        return read_usage(response.status_code, response.content)

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        """Request an export, which counts against the month's, once; with a column for each user property.

        Retries only while no connection comes about, because Amplitude may have counted any other request.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnavailableError: No response, a part of one, or 5xx; says whether an export may have been spent.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures; no export was spent.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: The response is not Amplitude's.
        """
        doing, unspent = "requesting an export", "no export was spent"
        url = self._url(f"/api/5/cohorts/request/{_path_part(cohort_id)}{property_query(user_properties)}")

        def request() -> requests.Response | _Failure:
            try:
                return self._get(url)
            except requests.RequestException as error:
                fault = transient_fault(doing, error, f"; {unspent}")
                is_unspent = never_connected(error)
                reason = f"{fault.reason}; {unspent if is_unspent else MAYBE_SPENT}"
                unavailable = AmplitudeUnavailableError(doing, None, reason, fault.advice)
                if not is_unspent:
                    raise unavailable from None
                return _Failure(unavailable, fault.reason)

        return read_export_request(received(self._retry(doing, request)), now=self._now())

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | RetryLater:
        """Poll an export's status once; a network fault is a :class:`RetryLater` without a status.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnreachableError: No connection, for a reason that no retry cures.
            ExportFailedError: Any other 4xx but 408 and 429.
            AmplitudeAnswerError: A redirect.
        """
        try:
            response = self._get(self._url(f"/api/5/cohorts/request-status/{_path_part(request_id)}"))
        except requests.RequestException as error:
            return RetryLater(None, None, transient_fault(POLLING, error).reason)
        return read_export_status(request_id, received(response), now=self._now())

    def download(self, request_id: str, to: Path) -> Download:
        """Fetch the file of a completed export, byte for byte as it comes: gzip is not undone.

        A cut download and an expired link are retried from the same export, which spends none.

        Args:
            request_id: A completed export's.
            to: Written from its beginning, readable by its owner only. It exists only if this returns.

        Returns:
            Its length, and whether its end was announced: where it was not, a part may be missing.

        Raises:
            AmplitudeCredentialsError: 401 and 403 from Amplitude (not from its storage).
            AmplitudeUnavailableError: Amplitude or its storage did not give the file, five times.
            AmplitudeUnreachableError: No connection to one of them, for a reason that no retry cures.
            ExportCutOffError: The file ended early, five times.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: The response is not Amplitude's, or the link is not https.
            EngineError: The worker's disk does not take the file.
        """
        doing = f"fetching the file of export {request_id}"
        url = self._url(f"/api/5/cohorts/request/{_path_part(request_id)}/file")

        def fetch() -> Download | _Failure:
            try:
                with suppress_request_logs():
                    fetched = self._files.fetch(url, request_id, to)
            except ExportCutOffError as error:
                return _Failure(error, error.fault)
            if isinstance(fetched, Download):
                return fetched
            unavailable = AmplitudeUnavailableError(doing, fetched.status, fetched.reason)
            return _Failure(unavailable, fetched.said, fetched.after_seconds)

        return self._retry(doing, fetch)

    def close(self) -> None:
        """Close the connections to Amplitude and to storage."""
        self._session.close()
        self._storage_session.close()

    def _url(self, path: str) -> str:
        return f"{self.base_url}{path}"

    def _get(self, url: str) -> requests.Response:
        return send(self._session, "GET", url, timeout_seconds=self._timeout_seconds)

    def _read(self, path: str, doing: str, *, retries: int = RETRIES.retries) -> requests.Response:
        """Return the response to a request that spends no export; it is whole, and its status is not transient."""

        def read() -> requests.Response | _Failure:
            try:
                response = self._get(self._url(path))
            except requests.RequestException as error:
                fault = transient_fault(doing, error)
                return _Failure(AmplitudeUnavailableError(doing, None, fault.reason, fault.advice), fault.reason)
            status, body = response.status_code, response.content
            if is_success(status) and is_cut_object(body, is_end_announced=ends_announced(response)):
                reason = said = CUT_OFF
            elif is_transient(status):
                reason, said = error_reason(body), f"HTTP {status}"
            else:
                return response
            after = read_retry_after(response.headers.get("Retry-After"), now=self._now())
            return _Failure(AmplitudeUnavailableError(doing, status, reason), said, after)

        return self._retry(doing, read, retries)

    def _retry(self, doing: str, attempt: Callable[[], _Result | _Failure], retries: int = RETRIES.retries) -> _Result:
        """Try until a try succeeds, with growing waits between the tries, and return its result.

        Args:
            doing: What is tried, in words.
            attempt: Tries once; decides whether another try may succeed.
            retries: How often to retry.

        Raises:
            AmplitudeUnavailableError, ExportCutOffError: The last retry failed.
        """
        retry = 0
        while isinstance(result := attempt(), _Failure):
            retry += 1
            if retry > retries:
                raise result.error
            seconds = RETRIES.back_off_seconds(retry, self._random())
            if result.after_seconds is not None:
                seconds = min(max(result.after_seconds, seconds), _LONGEST_ASKED_WAIT_SECONDS)
            log.warning("Amplitude: %s: %s. Retrying in %.1f s.", doing, result.reason, seconds)
            self._sleep(seconds)
        return result


def _path_part(name: str) -> str:
    """Return an ID as one part of a URL's path."""
    if not name.strip("."):
        takes = "Amplitude's ID, letters and digits"
        raise SettingError("the ID of a cohort or an export", f"{name!r} is not one", takes)
    return quote(name, safe="", errors="replace")
