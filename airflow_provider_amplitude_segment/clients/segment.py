"""Segment's Tracking API over HTTP.

https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

import requests

from airflow_provider_amplitude_segment.clients.request import ends_announced, lower_names, send
from airflow_provider_amplitude_segment.core.delivery.response import Unreachable, no_response, read_response
from airflow_provider_amplitude_segment.core.http.base_url import without_version
from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.core.http.retry import RetryLater


class SegmentClient:
    """Posts batches to one Segment source.

    Safe to use from as many threads as the session's pool has connections. The caller waits and retries.

    Args:
        session: Carries ``Basic base64("<write key>:")``, the only form that Segment documents.
        base_url: Scheme and host, with or without ``/v1``, e.g. ``https://api.segment.io``.
        timeout_seconds: Longest silence of the server.
        now: Seconds since 1970-01-01 UTC.
    """

    def __init__(
        self, session: requests.Session, base_url: str, timeout_seconds: float, *, now: Callable[[], float] = time.time
    ) -> None:
        self._session = session
        self.base_url = without_version(base_url)
        self._timeout_seconds = timeout_seconds
        self._now = now

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the keys along: Airflow 2.11 can be set to pickle XComs.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("SegmentClient", "what it read, and take a client from the hook in each task")

    def post_batch(self, body: bytes, *, retry: int = 0) -> Response:
        """Post one batch once, and return what the response means, or why none came; never raise for either.

        Args:
            body: JSON of at most 500,000 bytes.
            retry: How often this batch was posted before; sent as ``X-Retry-Count``, as Segment's libraries do.
        """
        headers = {"Content-Type": "application/json"}
        if retry > 0:
            headers["X-Retry-Count"] = str(retry)
        try:
            response = send(
                self._session,
                "POST",
                f"{self.base_url}/v1/batch",
                timeout_seconds=self._timeout_seconds,
                headers=headers,
                body=body,
            )
        except requests.RequestException as error:
            return _no_connection(error)
        return read_response(
            response.status_code,
            lower_names(response),
            response.content,
            now=self._now(),
            is_end_announced=ends_announced(response),
        )

    def reach(self) -> int | RetryLater | Unreachable:
        """Return the status of the response at the base URL, which may be any; else why none came.

        Sends no message. Proves that the host can be reached, not the write key, because Segment accepts any key.
        """
        try:
            response = send(self._session, "GET", self.base_url, timeout_seconds=self._timeout_seconds)
        except requests.RequestException as error:
            return _no_connection(error)
        return response.status_code

    def close(self) -> None:
        """Close the connections to Segment."""
        self._session.close()


def _no_connection(error: requests.RequestException) -> RetryLater | Unreachable:
    fault = read_fault(error)
    return Unreachable(fault.reason, fault.advice) if fault.is_lasting else no_response(fault.reason, fault.advice)
