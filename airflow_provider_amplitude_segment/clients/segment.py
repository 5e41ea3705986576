"""Segment's Tracking API over HTTP.

https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

import requests

from airflow_provider_amplitude_segment.clients.request import ends_announced, lower_names, send
from airflow_provider_amplitude_segment.core.delivery.access_token import (
    AccessToken,
    is_token_doubtful,
    read_with_token,
)
from airflow_provider_amplitude_segment.core.delivery.response import Unreachable, no_response, read_response
from airflow_provider_amplitude_segment.core.http.base_url import without_version
from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.clients.segment_oauth import SegmentOAuth
    from airflow_provider_amplitude_segment.core.delivery.access_token import NoToken
    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.core.http.retry import RetryLater


_Token = TypeVar("_Token")

_SLOW_TOKEN_SECONDS = 5.0


class SegmentClient:
    """Posts batches to one Segment source.

    Safe to use from as many threads as the session's pool has connections. The caller waits and retries.

    Args:
        session: Carries ``Basic base64("<write key>:")``, the only form that Segment documents without OAuth; with it,
            nothing.
        base_url: Scheme and host, with or without ``/v1``, e.g. ``https://api.segment.io``.
        timeout_seconds: Longest silence of the server.
        now: Seconds since 1970-01-01 UTC.
        monotonic: Seconds that never go back.
        oauth: Authorizes the batches instead of the session.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        timeout_seconds: float,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        oauth: SegmentOAuth | None = None,
    ) -> None:
        self._session = session
        self.base_url = without_version(base_url)
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._monotonic = monotonic
        self._oauth = oauth

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the keys along: Airflow 2.11 can be set to pickle XComs.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("SegmentClient", "what it read, and take a client from the hook in each task")

    @property
    def has_oauth(self) -> bool:
        """Whether batches carry an access token."""
        return self._oauth is not None

    @property
    def added_bytes(self) -> int:
        """The bytes that ``post_batch`` adds to each body: with OAuth, the write key is in it."""
        return 0 if self._oauth is None else len(self._oauth.body_start) - len("{")

    def post_batch(self, body: bytes, *, retry: int = 0) -> Response:
        """Post one batch, and return what the response means, or why none came; never raise for either.

        With OAuth, a batch whose response may be about its access token is posted once more with another token.

        Args:
            body: A JSON object with at least one member, of at most 500,000 bytes with ``added_bytes``.
            retry: How often this batch was posted before; sent as ``X-Retry-Count``, as Segment's libraries do.
        """
        if self._oauth is None:
            return self._post(body, retry, None)
        return self._post_with_token(self._oauth, self._oauth.body_start + body[1:], retry)

    def _post_with_token(self, oauth: SegmentOAuth, body: bytes, retry: int) -> Response:
        token = self._in_time(oauth.tokens.get)
        if not isinstance(token, AccessToken):
            return token
        response = self._post(body, retry, token)
        if is_token_doubtful(response):
            other = self._in_time(lambda: oauth.tokens.replacement(token))
            if isinstance(other, AccessToken):
                response = self._post(body, retry, other)
            elif other is not None:
                return other
        return read_with_token(response)

    def _in_time(self, take: Callable[[], _Token]) -> _Token | RetryLater:
        """Return the token that ``take`` returns, unless it took so long that the batch has to wait for its next try.

        The caller verified its claims just before ``post_batch``, and must verify them again after a long wait.
        """
        began = self._monotonic()
        token = take()
        if isinstance(token, AccessToken) and self._monotonic() - began > _SLOW_TOKEN_SECONDS:
            return no_response("the access token took long to come")
        return token

    def request_token(self) -> NoToken | None:
        """Return ``None`` if there is an access token, or if the connection has no OAuth; otherwise why there is none.

        Sends no message.
        """
        token = None if self._oauth is None else self._oauth.tokens.get()
        return None if isinstance(token, AccessToken) else token

    def _post(self, body: bytes, retry: int, token: AccessToken | None) -> Response:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.value}"
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
        if self._oauth is not None:
            self._oauth.close()


def _no_connection(error: requests.RequestException) -> RetryLater | Unreachable:
    fault = read_fault(error)
    return Unreachable(fault.reason, fault.advice) if fault.is_lasting else no_response(fault.reason, fault.advice)
