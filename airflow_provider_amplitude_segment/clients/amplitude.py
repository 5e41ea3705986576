"""Amplitude's Behavioral Cohorts API over HTTP: https://amplitude.com/docs/apis/analytics/behavioral-cohorts."""

from __future__ import annotations

import logging
import os
import random
import time
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

import requests
import urllib3

from airflow_provider_amplitude_segment.clients.request import lower_names, never_connected, send, unlogged
from airflow_provider_amplitude_segment.core.amplitude_answer import is_passing
from airflow_provider_amplitude_segment.core.cohort import read_cohorts
from airflow_provider_amplitude_segment.core.cohort_export import (
    MAYBE_SPENT,
    AskAgain,
    property_query,
    read_export_request,
    read_export_status,
    read_usage,
)
from airflow_provider_amplitude_segment.core.export_file import Inline, read_file_answer, read_storage_answer
from airflow_provider_amplitude_segment.core.retry_after import read_retry_after
from airflow_provider_amplitude_segment.core.retry_policy import RetryPolicy
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeUnavailableError,
    ExportCutOffError,
    SettingError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.cohort import Cohort
    from airflow_provider_amplitude_segment.core.cohort_export import (
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
_CHUNK_BYTES = 256 * 1024
# S3 redirects a link of a young bucket once, to its region.
_MOST_LINKS = 3


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
            AmplitudeUnavailableError: No answer, 429 or 5xx, each time.
            AmplitudeAnswerError: Something else answered.
        """
        response = self._ask("/api/3/cohorts", "listing the cohorts", retries=retries)
        return read_cohorts(response.status_code, response.content)

    def usage(self) -> Usage | None:
        """Return this month's exports by Amplitude's count; ``None`` where it does not tell, why ever."""
        try:
            response = self._ask("/api/3/cohorts/usage", "reading the usage")
        except AmplitudeUnavailableError:
            return None
        return read_usage(response.status_code, response.content)

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        """Request an export, which counts against the month's, once; with a column for each user property.

        Asked again only while no connection came about at all. Whatever else goes wrong may have been
        counted.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            AmplitudeUnavailableError: No answer, or 5xx; says whether an export may have been spent.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: Something else answered.
        """
        doing = "requesting an export"
        url = self._url(f"/api/5/cohorts/request/{_path_part(cohort_id)}{property_query(user_properties)}")
        for retry in range(1, RETRIES.retries + 2):
            try:
                response = self._get(url)
            except requests.RequestException as error:
                kind = type(error).__name__
                if not never_connected(error):
                    raise AmplitudeUnavailableError(doing, None, f"{kind}; {MAYBE_SPENT}") from None
                if retry > RETRIES.retries:
                    raise AmplitudeUnavailableError(doing, None, f"{kind}; no export was spent") from None
                self._wait(doing, kind, None, retry)
                continue
            break
        return read_export_request(response.status_code, lower_names(response), response.content, now=self._now())

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | AskAgain:
        """Ask once how an export is doing; a network's failure is an :class:`AskAgain` without a status.

        Raises:
            AmplitudeCredentialsError: 401 and 403.
            ExportFailedError: Any other 4xx but 408 and 429.
            AmplitudeAnswerError: A redirect.
        """
        try:
            response = self._get(self._url(f"/api/5/cohorts/request-status/{_path_part(request_id)}"))
        except requests.RequestException:
            return AskAgain(None, None)
        return read_export_status(
            request_id, response.status_code, lower_names(response), response.content, now=self._now()
        )

    def download(self, request_id: str, to: Path) -> int:
        """Fetch the file of a completed export, byte for byte as it comes: gzip is not undone.

        A cut download and an expired link are begun anew from the same export, which costs none.

        Args:
            request_id: A completed export's.
            to: Written anew, readable by its owner only. Not there unless this returns.

        Returns:
            Bytes written.

        Raises:
            AmplitudeCredentialsError: 401 and 403 from Amplitude (not from its storage).
            AmplitudeUnavailableError: Amplitude or its storage did not give the file, five times.
            ExportCutOffError: The file ended early, five times.
            ExportFailedError: Any other 4xx.
            AmplitudeAnswerError: Something else answered, or the link was not https.
        """
        doing = f"fetching the file of export {request_id}"
        retry = 0
        while True:
            retry += 1
            after: float | None = None
            fault: ExportCutOffError | AmplitudeUnavailableError
            try:
                with unlogged():
                    fetched = self._fetch_file(doing, request_id, to)
            except ExportCutOffError as error:
                fault, said = error, error.fault
            else:
                if isinstance(fetched, int):
                    return fetched
                fault = AmplitudeUnavailableError(doing, fetched.status)
                said = f"HTTP {fetched.status}" if fetched.status else "no answer"
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
                said, after = type(error).__name__, None
                if retry > retries:
                    raise AmplitudeUnavailableError(doing, None, said) from None
            else:
                if retry > retries or not is_passing(response.status_code):
                    return response
                said = f"HTTP {response.status_code}"
                after = read_retry_after(response.headers.get("Retry-After"), now=self._now())
            self._wait(doing, said, after, retry)

    def _wait(self, doing: str, said: str, after: float | None, retry: int) -> None:
        seconds = RETRIES.back_off_seconds(retry, self._random())
        if after is not None:
            seconds = min(max(after, seconds), _LONGEST_ASKED_WAIT_SECONDS)
        log.warning("Amplitude: %s: %s. Asking again in %.1f s.", doing, said, seconds)
        self._sleep(seconds)

    def _fetch_file(self, doing: str, request_id: str, to: Path) -> int | AskAgain:
        session, read = self._session, read_file_answer
        url = self._url(f"/api/5/cohorts/request/{_path_part(request_id)}/file")
        for _ in range(_MOST_LINKS + 1):
            try:
                response = send(
                    session,
                    "GET",
                    url,
                    timeout_seconds=self._timeout_seconds,
                    headers={"Accept-Encoding": "gzip"},
                    stream=True,
                )
            except requests.RequestException:
                return AskAgain(None, None)
            with closing(response):
                answer = read(request_id, response.status_code, lower_names(response), now=self._now())
                if isinstance(answer, Inline):
                    return _save(response, request_id, to)
            if isinstance(answer, AskAgain):
                return answer
            # From here on the credentials stay behind.
            session, read, url = self._storage_session, read_storage_answer, answer.url
        raise AmplitudeAnswerError(doing, response.status_code, "a link to a link, too often")


def _path_part(name: str) -> str:
    """Return an ID as one part of a URL's path."""
    if not name.strip("."):
        takes = "Amplitude's ID, letters and digits"
        raise SettingError("the ID of a cohort or an export", f"{name!r} is not one", takes)
    return quote(name, safe="", errors="replace")


def _save(response: requests.Response, request_id: str, to: Path) -> int:
    """Write an answer's body as it was on the wire; leave no file behind unless it is whole."""
    received = 0
    fault = ""
    # Path.open takes no mode, and the file holds user IDs: nobody else may read it, not for a moment.
    with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        try:
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                received += len(chunk)
        except urllib3.exceptions.HTTPError as error:
            fault = f"the download broke off after {received:,} bytes ({type(error).__name__})"
        except BaseException:
            to.unlink(missing_ok=True)
            raise
    announced = response.headers.get("Content-Length", "")
    if not fault and announced.isdecimal() and "Transfer-Encoding" not in response.headers:
        fault = "" if received == int(announced) else f"{received:,} of {int(announced):,} bytes came"
    if fault:
        to.unlink(missing_ok=True)
        raise ExportCutOffError(fault, request_id)
    return received
