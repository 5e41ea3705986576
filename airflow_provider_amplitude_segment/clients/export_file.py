"""The file of an export, from Amplitude or its storage to the worker's disk."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
import urllib3

from airflow_provider_amplitude_segment.clients.amplitude_fault import transient_fault
from airflow_provider_amplitude_segment.clients.request import ends_announced, lower_names, send
from airflow_provider_amplitude_segment.core.engine.scratch import ScratchFile, remove_scratch
from airflow_provider_amplitude_segment.core.export.download import (
    Download,
    Inline,
    read_file_response,
    read_storage_response,
)
from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.core.http.response_body import announced_bytes
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import AmplitudeAnswerError, ExportCutOffError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK_BYTES = 256 * 1024
# S3 redirects a link of a young bucket once, to its region.
_MOST_LINKS = 3


@dataclass(frozen=True, slots=True)
class ExportFiles:
    """Fetches the files of exports.

    Attributes:
        session: carries the project's credentials.
        storage_session: carries none; follows the links.
        timeout_seconds: longest silence of a server.
        now: seconds since 1970-01-01 UTC.
    """

    session: requests.Session
    storage_session: requests.Session
    timeout_seconds: float
    now: Callable[[], float]

    def fetch(self, url: str, request_id: str, to: Path) -> Download | RetryLater:
        """Fetch a file once, through the links that Amplitude gives.

        Raises:
            AmplitudeCredentialsError, ExportFailedError, AmplitudeAnswerError: See ``core.export.download``.
            AmplitudeUnreachableError: No connection to one of them, for a reason that no retry cures.
            ExportCutOffError: It ended before its announced end.
        """
        doing = f"fetching the file of export {request_id}"
        session, read = self.session, read_file_response
        for _ in range(_MOST_LINKS + 1):
            try:
                response = send(
                    session,
                    "GET",
                    url,
                    timeout_seconds=self.timeout_seconds,
                    headers={"Accept-Encoding": "gzip"},
                    stream=True,
                )
            except requests.RequestException as error:
                if session is self.session:
                    return RetryLater(None, None, transient_fault(doing, error).reason)
                doing = f"{doing} from Amplitude's storage"
                return RetryLater(None, None, transient_fault(doing, error, at="storage").reason)
            with closing(response):
                found = read(request_id, response.status_code, lower_names(response), now=self.now())
                if isinstance(found, Inline):
                    return _save(response, request_id, to)
            if isinstance(found, RetryLater):
                return found
            # Storage gets no credentials.
            session, read, url = self.storage_session, read_storage_response, found.url
        raise AmplitudeAnswerError(doing, response.status_code, "a link to a link, too often")


def _save(response: requests.Response, request_id: str, to: Path) -> Download:
    """Write a response's body as it was on the wire; remove the file if it is known to be cut.

    Raises:
        ExportCutOffError: It ended before its announced end.
        EngineError: The worker's disk does not take the file.
    """
    received = 0
    fault = ""
    with ScratchFile(to) as file:
        try:
            for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                received += len(chunk)
        except urllib3.exceptions.HTTPError as error:
            fault = f"the download broke off after {received:,} bytes: {read_fault(error).reason}"
    announced = announced_bytes(lower_names(response))
    if not fault and announced is not None and received != announced:
        fault = f"{received:,} of {announced:,} bytes came"
    if fault:
        remove_scratch(to)
        raise ExportCutOffError(fault, request_id)
    return Download(received, ends_announced(response))
