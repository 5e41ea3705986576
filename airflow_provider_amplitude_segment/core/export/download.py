"""Where the file of a completed export is: in the response itself, or behind a link that works for a minute.

https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Download file".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_amplitude_segment.core.export.response_errors import is_success, is_transient, raise_for_status
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, read_retry_after
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import AmplitudeAnswerError, ExportFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200


@dataclass(frozen=True, slots=True)
class Download(NotForXCom):
    """An export's file as it came.

    Attributes:
        received_bytes: its length.
        is_end_announced: whether the response said where the file ends, so that a cut is an error.
    """

    received_bytes: int
    is_end_announced: bool = True


@dataclass(frozen=True, slots=True)
class Inline:
    """The response's own body is the file."""


@dataclass(frozen=True, slots=True)
class StorageLink:
    """The file is in storage, and the link to it works for one minute.

    Attributes:
        url: signed, and so a secret. Amplitude's credentials are never sent to it.
    """

    url: str = field(repr=False)


def read_file_response(
    request_id: str, status: int, headers: Mapping[str, str], *, now: float
) -> Inline | StorageLink | RetryLater:
    """Read the response to ``GET /api/5/cohorts/request/<request id>/file``, section "Download file".

    A small cohort's file is the body; a large one's is behind a link that works for a minute. For seven days
    another request gives a new link.

    Args:
        request_id: Goes into the error.
        status: HTTP status code.
        headers: Response headers with lower-case names.
        now: Seconds since 1970-01-01 UTC.

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        ExportFailedError: Any other 4xx but 408 and 429, e.g. 404 after the seven days.
        AmplitudeAnswerError: A link that is not https (nor to this machine), or any other status.

    >>> read_file_response("qfaZya", 302, {"location": "https://bucket.s3.amazonaws.com/x?signature"}, now=0)
    StorageLink()
    """
    doing = f"fetching the file of export {request_id}"
    if status == _OK:
        return Inline()
    if status in _REDIRECTS:
        url = headers.get("location", "")
        if not is_safe_link(url):
            raise AmplitudeAnswerError(doing, status, "a link to storage that is not https, which was not followed")
        return StorageLink(url)
    if is_transient(status):
        return RetryLater(status, read_retry_after(headers.get("retry-after"), now=now))
    raise_for_status(doing, status)
    if is_success(status):
        raise AmplitudeAnswerError(doing, status, "neither a file nor a link to one")
    raise ExportFailedError(request_id, status, "its file cannot be fetched; Amplitude keeps it for seven days")


def read_storage_response(
    request_id: str, status: int, headers: Mapping[str, str], *, now: float
) -> Inline | StorageLink | RetryLater:
    """Read the response of storage: the file, a further link, or a reason to request a new link.

    To an expired link S3 responds with 403 and Google's storage with 400. So no 4xx from storage is final, and
    none is about Amplitude's credentials.

    Raises:
        AmplitudeAnswerError: A further link that is not https (nor to this machine).

    >>> read_storage_response("qfaZya", 403, {}, now=0)
    RetryLater(status=403, after_seconds=None, reason='')
    """
    if status == _OK or status in _REDIRECTS:
        return read_file_response(request_id, status, headers, now=now)
    return RetryLater(status, read_retry_after(headers.get("retry-after"), now=now))


def is_safe_link(url: str) -> bool:
    r"""Return whether a link may be followed: a plain URL of https, or of http to this machine.

    >>> [is_safe_link(url) for url in ("https://s3.amazonaws.com/x", "http://127.0.0.1:8080/x", "http://[::1]/x")]
    [True, True, True]
    >>> [is_safe_link(url) for url in ("http://s3.amazonaws.com/x", "/x", "file:///x", "https://127.0.0.1\\@evil/")]
    [False, False, False, False]
    """
    # Programs disagree on where the host of such a link begins.
    if "\\" in url or any(character.isspace() or not character.isprintable() for character in url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether a host, without port and brackets, is this machine.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "localhost.example.com")]
    [True, True, True, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
