"""Keep the access token of an OAuth application: one request at a time, and a new token before the old one ends.

The senders of a task share one ``AccessTokens``. It is in the memory of the task's process only (ADR 0028).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.delivery.oauth_assertion import assertion_claims
from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    CredentialsRejected,
    OAuthRefused,
    Rejected,
    RetryLater,
    UnexpectedResponse,
    Unreachable,
)
from airflow_provider_amplitude_segment.core.delivery.token_response import ClockSkewed, TokenIssued
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.core.delivery.token_response import TokenResponse

# A batch's response with one of these may be about the token, as in Segment's libraries: analytics-python 2.4.0
# (request.py) and analytics-next packages/node (publisher.ts) drop the token then.
_AMBIGUOUS_STATUS = 400
_LOGIN_AT_NETWORK = 511

_UNKNOWN_REFRESH_SECONDS = 60.0
"""When a token of unknown life is replaced, as in Segment's libraries."""

_SHARED_SECONDS = 0.4
"""A failed request counts for so long for the other senders too. It is less than the first wait before a retry."""

_LONGEST_PAUSE_SECONDS = 60.0
"""If a token cannot be replaced while it is still valid, the next request for one is after this time at the latest."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AccessToken(NotForXCom):
    """A token and its times, on the monotonic clock.

    Attributes:
        value: a secret.
        refresh_at: from when on it is replaced.
        ends_at: when it ends.
    """

    value: str
    refresh_at: float
    ends_at: float

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise XComValueError("AccessToken", "what it is for, and request a token in each task")


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An OAuth application at a token endpoint.

    Attributes:
        app_id: Segment's ID of it.
        audience: scheme and host of the token endpoint, without a slash at its end.
    """

    app_id: str
    audience: str


NoToken = RetryLater | OAuthRefused | Unreachable
"""Why there is no token."""


def timed_token(issued: TokenIssued, now: float) -> AccessToken:
    """Return an issued token with its times: it is replaced after half its life.

    >>> [getattr(timed_token(TokenIssued("t", 86_400.0), 10.0), name) for name in ("refresh_at", "ends_at")]
    [43210.0, 86410.0]
    >>> [getattr(timed_token(TokenIssued("t", None), 10.0), name) for name in ("refresh_at", "ends_at")]
    [70.0, 70.0]
    """
    life = issued.life_seconds
    if life is None:
        return AccessToken(issued.value, now + _UNKNOWN_REFRESH_SECONDS, now + _UNKNOWN_REFRESH_SECONDS)
    return AccessToken(issued.value, now + life / 2, now + life)


def is_token_doubtful(response: Response) -> bool:
    """Return whether the response to a batch may be about its token.

    >>> responses = (doubt(Rejected(400, "")), CredentialsRejected(403), UnexpectedResponse(511, ""))
    >>> [is_token_doubtful(response) for response in responses]
    [True, True, True]
    >>> [is_token_doubtful(r) for r in (Rejected(400, ""), RetryLater(429), UnexpectedResponse(302, ""))]
    [False, False, False]
    """
    match response:
        case CredentialsRejected() | Rejected(is_token_in_doubt=True):
            return True
        case UnexpectedResponse(status=status):
            return status == _LOGIN_AT_NETWORK
        case _:
            return False


def doubt(response: Response) -> Response:
    """Return a response to a batch with a token; a 400 may be about the message or the token.

    >>> [doubt(Rejected(status, "")).is_token_in_doubt for status in (400, 413)]
    [True, False]
    """
    if isinstance(response, Rejected) and response.status == _AMBIGUOUS_STATUS:
        return replace(response, is_token_in_doubt=True)
    return response


def decide(rejected: Rejected, proof: Response) -> Response:
    """Return what a 400 means after a batch that Segment acknowledged before was posted again with the same token.

    If Segment acknowledges that one again, the token is valid and the message is at fault. If it refuses that one too,
    the token is at fault.

    >>> decide(Rejected(400, "too long", True), Acknowledged()).is_token_in_doubt
    False
    >>> decide(Rejected(400, "", True), Rejected(400, "")), decide(Rejected(400, "", True), RetryLater(503))
    (CredentialsRejected(status=400), RetryLater(status=503, after_seconds=None, reason=''))
    """
    match proof:
        case Acknowledged():
            return replace(rejected, is_token_in_doubt=False)
        case Rejected(status=status):
            return CredentialsRejected(status)
        case _:
            return proof


def read_with_token(response: Response) -> Response:
    """Return what a response means if no other token changes it.

    >>> read_with_token(CredentialsRejected(401))
    OAuthRefused(status=401, reason='the source refuses the access token', is_of_source=True)
    >>> read_with_token(UnexpectedResponse(511, ""))
    RetryLater(status=511, after_seconds=None, reason='')
    >>> read_with_token(Rejected(400, "too long"))
    Rejected(status=400, reason='too long')
    """
    match response:
        case CredentialsRejected(status=status):
            return OAuthRefused(status, "the source refuses the access token", is_of_source=True)
        case UnexpectedResponse(status=status) if status == _LOGIN_AT_NETWORK:
            return RetryLater(status)
        case _:
            return response


class AccessTokens:
    """The access tokens of one application, one after the other. Threads share it.

    Args:
        app: for which tokens are requested.
        sign: returns the assertion of these claims.
        request: posts an assertion once, and returns what the response means; raises nothing.
        clock: time.
        random_source: IDs of assertions.
    """

    def __init__(
        self,
        app: OAuthApp,
        sign: Callable[[Mapping[str, Any]], str],
        request: Callable[[str], TokenResponse],
        clock: Clock,
        random_source: RandomSource,
    ) -> None:
        self.app = app
        self._sign = sign
        self._request = request
        self._clock = clock
        self._random_source = random_source
        self._skew = 0.0
        self._token: AccessToken | None = None
        self._failure: NoToken | None = None
        self._retry_at = float("-inf")
        self._is_dropped = False
        self._unproved: AccessToken | None = None
        self._lock = threading.Lock()

    def get(self) -> AccessToken | NoToken:
        """Return the token, or why there is none.

        One thread requests a token. The others use the one that has not ended; without one, they wait.
        """
        living = self._living_token(self._clock.monotonic())
        if living is not None and not self._lock.acquire(blocking=False):
            # If the other thread is dropping it, the response to the batch will say so.
            return living
        if living is None:
            self._lock.acquire()
        try:
            return self._get()
        finally:
            self._lock.release()

    def acknowledged(self, token: AccessToken) -> None:
        """Note that Segment acknowledged a batch with ``token``."""
        if self._unproved is token:
            self._unproved = None

    def replacement(self, token: AccessToken) -> AccessToken | NoToken | None:
        """Return another token after a doubtful response to a batch that had ``token``.

        Returns:
            The token, why there is none, or ``None`` if the response counts as it is, because this token was issued
            for such a response, and Segment has not acknowledged a batch with it since.
        """
        if self._token is not token:
            return self.get()
        with self._lock:
            if self._token is token:
                if self._unproved is token:
                    return None
                self._token, self._is_dropped = None, True
                if isinstance(self._failure, Unreachable):
                    # It was waited out with this token, so it is not final yet.
                    self._failure = None
            return self._get()

    def _get(self) -> AccessToken | NoToken:
        now = self._clock.monotonic()
        if self._token is not None and now < self._token.refresh_at:
            return self._token
        living = self._living_token(now)
        match self._failure:
            case OAuthRefused():
                return self._failure
            case Unreachable() if now < self._retry_at:
                return living or self._failure
            case RetryLater(after_seconds=after) if now < self._retry_at:
                left = None if after is None else self._retry_at - now
                return living or replace(self._failure, after_seconds=left)
            case _:
                return self._renew(now)

    def _renew(self, began: float) -> AccessToken | NoToken:
        response = self._ask()
        if isinstance(response, TokenIssued):
            # Its life began before the response came.
            self._token, self._failure = timed_token(response, began), None
            self._unproved, self._is_dropped = (self._token if self._is_dropped else None), False
            return self._token
        self._failure = response
        now = self._clock.monotonic()
        if isinstance(response, OAuthRefused):
            self._token = None
            return response
        living = self._living_token(now)
        if living is None and isinstance(response, Unreachable):
            self._retry_at = float("inf")
            return response
        pause = _SHARED_SECONDS if living is None else min(_LONGEST_PAUSE_SECONDS, (living.ends_at - now) / 10)
        asked = response.after_seconds if isinstance(response, RetryLater) else None
        self._retry_at = now + max(pause, asked or 0.0)
        return living or response

    def _living_token(self, now: float) -> AccessToken | None:
        """Return the token if it has not ended, although it should have been replaced."""
        token = self._token
        return token if token is not None and now < token.ends_at else None

    def _ask(self) -> TokenIssued | NoToken:
        """Request a token; where Segment says that the clock is wrong, correct the time and request once more."""
        response = self._ask_once()
        if isinstance(response, ClockSkewed) and response.server_now is not None:
            self._skew = self._clock.now() - response.server_now
            response = self._ask_once()
        if isinstance(response, ClockSkewed):
            return OAuthRefused(400, "the worker's clock is wrong")
        return response

    def _ask_once(self) -> TokenResponse:
        claims = assertion_claims(
            self.app.app_id,
            self.app.audience,
            now=self._clock.now(),
            skew=self._skew,
            random_id=self._random_source.token(),
        )
        return self._request(self._sign(claims))
