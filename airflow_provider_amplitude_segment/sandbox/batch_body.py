"""Read the body of a batch: its messages, and the sizes in which they were sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

MESSAGE_BYTES = 32_000
_SPACE = re.compile(r"[ \t\n\r]*")


def _refuse_constant(name: str) -> None:
    """Raise for ``NaN`` and ``Infinity``, which Python's reader accepts and JSON does not have."""
    raise ValueError(f"{name} is not JSON")


_read_value = json.JSONDecoder(parse_constant=_refuse_constant).raw_decode


@dataclass(frozen=True, slots=True)
class BatchBody:
    """The content of one ``POST /v1/batch``."""

    messages: list[Any] = field(repr=False)
    """In the order sent; any JSON values, because they are not checked yet."""
    oversize: frozenset[int]
    """Positions of the messages larger than ``MESSAGE_BYTES`` as sent: UTF-8, with white space."""
    envelope: dict[str, Any] = field(repr=False)
    """All other top-level fields."""


def read_batch(body: bytes) -> BatchBody:
    """Read a body in one pass.

    The two outer levels are read by hand, because ``json.loads`` does not return where a message begins and ends.

    Raises:
        ValueError: the body is not UTF-8, not JSON, or not an object with a list ``batch``.
        RecursionError: the body is nested too deeply.

    >>> read_batch(b'{"batch": [{"type": "identify"}, 7], "sentAt": "now"}')
    BatchBody(oversize=frozenset())
    """
    text = body.decode()
    envelope: dict[str, Any] = {}
    oversize: set[int] = set()
    at = _after(text, _after_space(text, 0), "{")
    while text[at : at + 1] != "}" or envelope:
        key, at = _read_value(text, at)
        if not isinstance(key, str):
            raise ValueError("a key that is no string")  # noqa: TRY004 - as below
        at = _after(text, _after_space(text, at), ":")
        if key == "batch" and text[at : at + 1] == "[":
            oversize.clear()
            envelope[key], at = _read_messages(text, at + 1, oversize)
        else:
            envelope[key], at = _read_value(text, at)
        at = _after_space(text, at)
        if text[at : at + 1] != ",":
            break
        at = _after_space(text, at + 1)
    if _after(text, at, "}") != len(text):
        raise ValueError("something follows the object")
    messages = envelope.pop("batch", None)
    if not isinstance(messages, list):
        raise ValueError("no list named batch")  # noqa: TRY004 - the body is wrong, not the caller
    return BatchBody(messages, frozenset(oversize), envelope)


def _read_messages(text: str, at: int, oversize: set[int]) -> tuple[list[Any], int]:
    """Read a list's elements. ``at`` is after the opening bracket, the returned position after the closing one."""
    messages: list[Any] = []
    at = _after_space(text, at)
    if text[at : at + 1] == "]":
        return messages, at + 1
    while True:
        start = at
        message, at = _read_value(text, start)
        # Only a long text is encoded to measure it, because a character takes at most four bytes.
        if (at - start) * 4 > MESSAGE_BYTES and len(text[start:at].encode()) > MESSAGE_BYTES:
            oversize.add(len(messages))
        messages.append(message)
        at = _after_space(text, at)
        if text[at : at + 1] != ",":
            return messages, _after(text, at, "]", space=False)
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    # Most writers put no space here, and this check is faster than the expression.
    if text[at : at + 1] not in (" ", "\t", "\n", "\r"):
        return at
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _after(text: str, at: int, token: str, *, space: bool = True) -> int:
    if text[at : at + 1] != token:
        raise ValueError(f"{token!r} expected at character {at}")
    return _after_space(text, at + 1) if space else at + 1
