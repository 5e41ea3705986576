"""The body of an HTTP response: whether the response announces its end, and whether all of it came.

A body without an announced end ends with the connection, so a cut looks like an end
(https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length). Proxies that speak HTTP/1.0 send such bodies.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CUT_OFF = "the response was cut off"

_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response as it came.

    Attributes:
        status: HTTP status code.
        headers: with lower-case names.
        body: the part that came.
        is_end_announced: whether the response says where the body ends.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_end_announced: bool = True


def is_end_announced(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether a response says where its body ends. If so, the HTTP library raises an error for a shorter body.

    https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length

    Args:
        status: HTTP status code.
        headers: Response headers with lower-case names.

    >>> is_end_announced(200, {"content-length": "12"}), is_end_announced(200, {"transfer-encoding": "chunked"})
    (True, True)
    >>> is_end_announced(200, {"connection": "close"}), is_end_announced(204, {})
    (False, True)
    """
    if coding := headers.get("transfer-encoding", ""):
        return coding.rpartition(",")[2].strip().lower() == "chunked"
    return status in _WITHOUT_BODY or announced_bytes(headers) is not None


def announced_bytes(headers: Mapping[str, str]) -> int | None:
    """Return the length that a response announces for its body; ``None`` where it announces none, or sends chunks.

    >>> announced_bytes({"content-length": "12"}), announced_bytes({"content-length": "12, 12"})
    (12, 12)
    >>> announced_bytes({"content-length": "soon"}) is None
    True
    """
    lengths = {length.strip() for length in headers.get("content-length", "").split(",")}
    length = lengths.pop()
    if lengths or "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
        return None
    return int(length)


def _values(body: bytes) -> list[Any]:
    """Return the JSON value of a body in a list, which is empty for any other body."""
    try:
        return [json.loads(body)]
    except (ValueError, RecursionError):
        return []


def is_json(body: bytes) -> bool:
    """Return whether a body is a JSON value of any kind, ``null`` among them."""
    return bool(_values(body))


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return a body's JSON object; ``None`` for any other body.

    >>> read_object(b'{"request_id": "qfaZya"}')
    {'request_id': 'qfaZya'}
    >>> read_object(b"<html>") is None
    True
    """
    return next((value for value in _values(body) if isinstance(value, dict)), None)


def is_cut_object(body: bytes, *, is_end_announced: bool) -> bool:
    """Return whether a body is only the beginning of a JSON object.

    The body itself decides, because a proxy may announce the end of a body that reached it cut. The announcement
    decides only for an empty body.

    >>> is_cut_object(b'{"success": tr', is_end_announced=True)
    True
    >>> [is_cut_object(b"", is_end_announced=announced) for announced in (True, False)]
    [False, True]
    >>> [is_cut_object(body, is_end_announced=False) for body in (b'{"success": true}', b"<html>")]
    [False, False]
    """
    begun = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not begun:
        return not is_end_announced
    return begun.startswith(b"{") and read_object(body) is None


def number_of(value: object) -> float | None:
    """Return a number of JSON that is finite and not negative; ``None`` for any other value.

    >>> number_of(7), number_of(-1), number_of(True), number_of("7"), number_of(float("inf")), number_of(10**400)
    (7.0, None, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
