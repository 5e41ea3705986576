"""Send one HTTP request with the session's own settings of TLS and proxies, and read the response's headers."""

from __future__ import annotations

import logging
import math
import ssl
import threading
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import requests
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ProxyError
from requests.exceptions import ConnectionError as RequestsConnectionError
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.core.http.response_body import (
    CUT_OFF,
    HttpResponse,
    announced_bytes,
    is_end_announced,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_amplitude_segment.core.http.network_fault import NetworkFault
    from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit

_CONNECT_SECONDS = 10.0
_PROXY_LOGIN = 407
_PIECE_BYTES = 64 * 1024
_MOST_BYTES = 64 * 1024 * 1024

# Every logger of urllib3 that this package's requests reach, and those of its optional parts. A filter of a parent sees
# no record of its children, so each is named.
URLLIB3_LOGGERS = (
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.contrib.pyopenssl",
    "urllib3.http2.connection",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)

# How many times this thread has asked for silence.
_suppressed = threading.local()


def send(
    session: requests.Session,
    method: str,
    url: str,
    *,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    stream: bool = False,
) -> requests.Response:
    """Send one request; no redirect is followed and no status raises.

    Args:
        session: Its authentication, TLS settings and proxies override the environment's.
        method: ``GET`` or ``POST``.
        url: Whole.
        timeout_seconds: Longest silence; connecting has 10 seconds of it at most.
        headers: Beside the session's.
        body: Bytes as they are.
        stream: Leave the response's body unread; the caller closes the response.

    Raises:
        requests.RequestException: No response, or a part of one. Its text may hold a proxy's password: show only
        the reason that ``read_fault`` returns.
    """
    try:
        response = session.request(
            method,
            url,
            data=body,
            headers=dict(headers or {}),
            timeout=(min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds),
            allow_redirects=False,
            stream=stream,
            # Without these, REQUESTS_CA_BUNDLE and HTTPS_PROXY override the connection's own settings
            # (https://github.com/psf/requests/issues/3829). The mapping is copied because requests writes into it.
            verify=session.verify,
            cert=session.cert,
            proxies=dict(session.proxies),
        )
    except requests.RequestException:
        raise
    except (OSError, TypeError, ValueError) as error:
        # requests raises these itself, e.g. for a missing file of authorities.
        raise requests.RequestException(type(error).__name__) from error
    _check_response(response, is_read=not stream)
    return response


def _check_response(response: requests.Response, *, is_read: bool) -> None:
    """Raise the errors that requests leaves out: a proxy's 407, and a body that is shorter than announced."""
    if response.status_code == _PROXY_LOGIN:
        # Only a proxy responds with 407 (https://www.rfc-editor.org/rfc/rfc9110#status.407). For a server with TLS it
        # responds so to ``CONNECT``, and http.client raises an error with this text.
        response.close()
        raise ProxyError(OSError(f"Tunnel connection failed: {_PROXY_LOGIN}"))
    if is_read:
        _check_length(response)


def _check_length(response: requests.Response) -> None:
    # urllib3 1.26 raises nothing for a body that is shorter than announced.
    if response.raw.tell() < (announced_bytes(lower_names(response)) or 0):
        raise ChunkedEncodingError(CUT_OFF)


def get_quietly(
    session: requests.Session,
    url: str,
    *,
    timeout_seconds: float,
    headers: Mapping[str, str] | None = None,
    limit: TimeLimit | None = None,
) -> HttpResponse | NetworkFault:
    """Send one GET of a URL that no log may have, because it names a user; return why no response came.

    Args:
        session: As for ``send``, like the others.
        url: Whole.
        timeout_seconds: Longest silence.
        headers: Beside the session's.
        limit: Ends also a response that comes byte by byte, and so is never silent.

    Raises:
        TimeoutError: The time of ``limit`` is over.
    """

    def get() -> HttpResponse | NetworkFault:
        try:
            with (
                suppress_request_logs(),
                closing(
                    send(session, "GET", url, timeout_seconds=timeout_seconds, headers=headers, stream=True)
                ) as response,
            ):
                body = _read_body(response, limit)
        except (requests.RequestException, HTTPError) as error:
            # The error has the URL in its text, so it is not even the context of another one.
            return read_fault(error)
        return HttpResponse(
            response.status_code, lower_names(response), body, is_end_announced=ends_announced(response)
        )

    return get() if limit is None or math.isinf(limit.left()) else _get_within(limit, get)


def _read_body(response: requests.Response, limit: TimeLimit | None) -> bytes:
    """Return a body that ends in time and is not larger than any that an API sends.

    Raises:
        TimeoutError: The time is over.
        requests.RequestException, urllib3.exceptions.HTTPError: The body is too large, or only a part of it came.
    """
    # ``read`` waits until a piece is whole; ``read1``, which urllib3 1.26 does not have, returns what has come.
    read = getattr(response.raw, "read1", response.raw.read)
    pieces, size = [], 0
    while piece := read(_PIECE_BYTES, decode_content=True):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise requests.RequestException("too large")
        if limit is not None:
            limit.check()
    _check_length(response)
    return b"".join(pieces)


def _get_within(limit: TimeLimit, get: Callable[[], HttpResponse | NetworkFault]) -> HttpResponse | NetworkFault:
    """Get in a thread of its own, which is left alone when the time is over.

    A socket's time-out is for one silence only, so it ends neither slow headers nor a slow name server.
    """
    outcome: Future[HttpResponse | NetworkFault] = Future()

    def run() -> None:
        try:
            outcome.set_result(get())
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            outcome.set_exception(error)

    # A daemon, so that the process can end before it.
    threading.Thread(target=run, name="bounded-request", daemon=True).start()
    return outcome.result(limit.left())


@contextmanager
def suppress_request_logs() -> Iterator[None]:
    """Drop what urllib3 logs of this thread's requests, because a signed link is a key, and a URL can name a user.

    At DEBUG it logs each request's path, at WARNING the URL whose response has a header that cannot be read
    (https://urllib3.readthedocs.io/en/stable/reference/urllib3.connectionpool.html).
    """
    # One filter for all threads that stays: logging goes through its list of filters without a lock, and leaves one out
    # where another thread removes an earlier one.
    for name in URLLIB3_LOGGERS:
        logging.getLogger(name).addFilter(_is_shown)
    depth = getattr(_suppressed, "depth", 0)
    _suppressed.depth = depth + 1
    try:
        yield
    finally:
        _suppressed.depth = depth


def _is_shown(_record: logging.LogRecord) -> bool:
    return getattr(_suppressed, "depth", 0) == 0


def lower_names(response: requests.Response) -> dict[str, str]:
    """Return a response's headers with lower-case names."""
    return {name.lower(): value for name, value in response.headers.items()}


def ends_announced(response: requests.Response) -> bool:
    """Return whether a response says where its body ends."""
    return is_end_announced(response.status_code, lower_names(response))


def received(response: requests.Response) -> HttpResponse:
    """Return a response as core reads it."""
    return HttpResponse(
        response.status_code, lower_names(response), response.content, is_end_announced=ends_announced(response)
    )


def never_connected(error: requests.RequestException) -> bool:
    """Return whether it is certain that nothing of the request reached the server."""
    if isinstance(error, ConnectTimeout | ProxyError):
        return True
    if not isinstance(error, RequestsConnectionError):
        return False
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, NewConnectionError | ConnectTimeoutError):
        return True
    # urllib3 wraps the ssl module's error in one of its own.
    cause = reason.args[0] if isinstance(reason, Exception) and reason.args else None
    return isinstance(cause, ssl.SSLCertVerificationError)
