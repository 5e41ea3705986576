"""The errors that every response of Amplitude may be."""

from __future__ import annotations

from airflow_provider_amplitude_segment.core.http.response_body import read_object
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    AmplitudeUnavailableError,
)

_QUOTED_CHARACTERS = 200
_TRY_LATER = frozenset({408, 429})
_REDIRECTS = range(300, 400)


def is_success(status: int) -> bool:
    """Return whether a status is 2xx: Amplitude's documents have 202 where its clients saw 200."""
    return 200 <= status < 300  # noqa: PLR2004 - HTTP's own numbers


def is_transient(status: int) -> bool:
    """Return whether the same request may succeed later.

    >>> [status for status in (200, 400, 404, 408, 429, 503) if is_transient(status)]
    [408, 429, 503]
    """
    return status in _TRY_LATER or status >= 500  # noqa: PLR2004 - HTTP's own numbers


def raise_for_status(doing: str, status: int, reason: str = "") -> None:
    """Raise the error that a status means for every request; return where the meaning depends on the request.

    The documents call wrong credentials only "an error"; live responses have 401 and 403
    (https://amplitude.com/docs/apis/analytics/behavioral-cohorts; PipedreamHQ/pipedream#21584).

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        AmplitudeUnavailableError: 408, 429 and 5xx.
        AmplitudeAnswerError: a redirect, which Amplitude's API does not send here.
    """
    if status in {401, 403}:
        raise AmplitudeCredentialsError(status)
    if is_transient(status):
        raise AmplitudeUnavailableError(doing, status, reason)
    if status in _REDIRECTS:
        raise AmplitudeAnswerError(doing, status, "a redirect that was not followed")


def error_reason(body: bytes) -> str:
    """Return the reason in an error's body, on one line of at most 200 characters.

    The one documented shape is ``{"error": {"http_code", "type", "message", "metadata"}}`` in
    section "Upload".

    >>> error_reason(b'{"error": {"http_code": 400, "type": "invalid", "message": "no such cohort"}}')
    'no such cohort'
    >>> error_reason(b"")
    'no reason given'
    """
    value = read_object(body) or {}
    error = value.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    text = next((said for said in (message, value.get("message")) if isinstance(said, str)), None)
    if text is None:
        text = body[: 4 * _QUOTED_CHARACTERS].decode("utf-8", "replace")
    return one_line(text) or "no reason given"


def one_line(text: str) -> str:
    r"""Return at most 200 characters of a text, without line breaks and control characters.

    >>> one_line("a\n  b\x1b[31m")
    'a b[31m'
    """
    line = " ".join(text.split())
    return "".join(character for character in line if character.isprintable())[:_QUOTED_CHARACTERS]
