"""Segment's Tracking API over HTTP.

https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, TypeVar

import requests

from airflow_provider_amplitude_segment.clients.request import ends_announced, lower_names, send
from airflow_provider_amplitude_segment.core.delivery.access_token import (
    AccessToken,
    decide,
    doubt,
    is_token_doubtful,
    read_with_token,
)
from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    Rejected,
    Unreachable,
    no_response,
    read_response,
)
from airflow_provider_amplitude_segment.core.http.base_url import without_version
from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.core.http.response_body import read_object
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.clients.segment_oauth import SegmentOAuth
    from airflow_provider_amplitude_segment.core.delivery.access_token import NoToken
    from airflow_provider_amplitude_segment.core.delivery.response import Response


_Token = TypeVar("_Token")

_SLOW_TOKEN_SECONDS = 5.0

_PROOF_SECONDS = 60.0
"""How long the smallest acknowledged body is kept, instead of a later one."""


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
        self._proof: tuple[bytes, float] | None = None

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

        With OAuth, a batch whose response may be about its access token is posted once more with another token. A 400
        may be about the token or a message, so a body that Segment acknowledged before is posted again to see which.

        Args:
            body: A JSON object that begins with ``{"``, of at most 500,000 bytes with ``added_bytes``. With OAuth,
                without ``writeKey``.
            retry: How often this batch was posted before; sent as ``X-Retry-Count``, as Segment's libraries do.

        Raises:
            ValueError: The write key cannot be put into the body.
        """
        if self._oauth is None:
            return self._post(body, retry, None)
        if not body.startswith(b'{"') or (b'"writeKey"' in body and "writeKey" in (read_object(body) or {"writeKey"})):
            raise ValueError('with OAuth, a body must begin with {" and have no writeKey, because the client adds it')
        return self._post_with_token(self._oauth, self._oauth.body_start + body[1:], retry)

    def _post_with_token(self, oauth: SegmentOAuth, body: bytes, retry: int) -> Response:
        token = self._in_time(oauth.tokens.get)
        if not isinstance(token, AccessToken):
            return token
        response = self._post_in_doubt(oauth, body, retry, token)
        if is_token_doubtful(response):
            other = self._in_time(lambda: oauth.tokens.replacement(token))
            if isinstance(other, AccessToken):
                response = self._post_in_doubt(oauth, body, retry + 1, other)
            elif other is not None:
                return replace(other, is_posted=True) if isinstance(other, RetryLater) else other
        return read_with_token(response)

    def _post_in_doubt(self, oauth: SegmentOAuth, body: bytes, retry: int, token: AccessToken) -> Response:
        """Post a batch, and after a 400 another one that Segment acknowledged before.

        Segment drops the second by its message IDs. Only with it is a message known to be at fault, and not the token:
        a new token for each 400 costs many tokens, and an older acknowledgement says nothing of the token's end.
        """
        response = doubt(self._post(body, retry, token))
        if isinstance(response, Acknowledged):
            oauth.tokens.acknowledged(token)
            self._keep_proof(body)
        if not isinstance(response, Rejected) or not response.is_token_in_doubt or self._proof is None:
            return response
        proof = self._post(self._proof[0], 1, token)
        if isinstance(proof, Acknowledged):
            oauth.tokens.acknowledged(token)
        return decide(response, proof)

    def _keep_proof(self, body: bytes) -> None:
        """Keep a small and young acknowledged body: young, because its ``sentAt`` stays."""
        now, kept = self._monotonic(), self._proof
        if kept is None or len(body) <= len(kept[0]) or now - kept[1] > _PROOF_SECONDS:
            self._proof = (body, now)

    def _in_time(self, take: Callable[[], _Token]) -> _Token | RetryLater:
        """Return the token that ``take`` returns, unless it took so long that the batch has to wait for its next try.

        The caller verified its claims just before ``post_batch``, and must verify them again after a long wait.
        """
        began = self._monotonic()
        token = take()
        if isinstance(token, AccessToken) and self._monotonic() - began > _SLOW_TOKEN_SECONDS:
            # A wait of zero spends no retry.
            return RetryLater(None, 0.0, "the access token took long to come", is_posted=False)
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
