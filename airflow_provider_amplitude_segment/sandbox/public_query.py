"""Read a query of the Public API in any of the forms that its official clients write."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEFAULT_COUNT = 10
MOST_COUNT = 1000
_NESTED = re.compile(r"\[([^\]]*)\]|\.([^.\[]+)")


class PublicApiErrorResponse(Exception):  # noqa: N818 - a response of Segment, not a failure of the sandbox
    """The Public API responds with an error."""

    def __init__(self, status: int, kind: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.field = status, kind, message, field


def invalid(field: str, message: str) -> PublicApiErrorResponse:
    """Return the error of a parameter."""
    return PublicApiErrorResponse(422, "validation-failed", message, field)


def read_query(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a query's parameters as text, list or object.

    >>> read_query([("pagination.count", "2"), ("filter[eventType][0]", "identify")])
    {'pagination': {'count': '2'}, 'filter': {'eventType': ['identify']}}
    >>> read_query([("pagination", '{"count": 2}'), ("groupBy", "eventType"), ("groupBy", "appVersion")])
    {'pagination': {'count': 2}, 'groupBy': ['eventType', 'appVersion']}
    """
    tree: dict[str, Any] = {}
    for name, text in pairs:
        first = re.split(r"[.\[]", name, maxsplit=1)[0]
        path = [first, *(a or b for a, b in _NESTED.findall(name[len(first) :]))]
        holder = tree
        for part in path[:-1]:
            known = holder.setdefault(part, {})
            if not isinstance(known, dict):
                known = holder[part] = {}
            holder = known
        value = _value(text)
        held = holder.get(path[-1])
        holder[path[-1]] = value if held is None else [*(held if isinstance(held, list) else [held]), value]
    return {name: _with_lists(value) for name, value in tree.items()}


def _value(text: str) -> Any:
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _with_lists(value: Any) -> Any:
    """Make a list of an object whose names are 0, 1, ..."""
    if not isinstance(value, dict):
        return value
    below = {name: _with_lists(held) for name, held in value.items()}
    numbered = sorted(int(name) for name in below if name.isdecimal())
    if below and numbered == list(range(len(below))):
        return [below[str(number)] for number in numbered]
    return below


def words(value: Any) -> list[str]:
    """Return a parameter that is a list of words, or words with commas between them.

    >>> words("eventType,appVersion"), words(["eventType"]), words(None)
    (['eventType', 'appVersion'], ['eventType'], [])
    """
    if value is None:
        return []
    listed = value if isinstance(value, list) else [value]
    return [word for text in listed for word in str(text).split(",") if word]


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list a request is for."""

    count: int
    start: int

    def of(self, entries: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the entries of this page, and the ``pagination`` of the response."""
        pagination: dict[str, Any] = {"current": _cursor(self.start), "totalEntries": len(entries)}
        if self.start + self.count < len(entries):
            pagination["next"] = _cursor(self.start + self.count)
        if self.start:
            pagination["previous"] = _cursor(max(0, self.start - self.count))
        return list(entries[self.start : self.start + self.count]), pagination


def read_page(query: dict[str, Any]) -> Page:
    """Return the page that a query is for; the first 10 entries if it names none.

    Raises:
        PublicApiErrorResponse: the count or the cursor is none.
    """
    asked = query.get("pagination") or {}
    if not isinstance(asked, dict):
        raise invalid("pagination", "pagination must be an object")
    try:
        count = int(asked.get("count", DEFAULT_COUNT))
    except (TypeError, ValueError):
        count = 0
    if not 1 <= count <= MOST_COUNT:
        raise invalid("pagination.count", f"count must be from 1 to {MOST_COUNT}")
    cursor = asked.get("cursor")
    try:
        start = int(base64.b64decode(str(cursor), validate=True)) if cursor else 0
    except (binascii.Error, ValueError):
        raise invalid("pagination.cursor", "cursor is not valid") from None
    return Page(count, start)


def _cursor(start: int) -> str:
    return base64.b64encode(str(start).encode()).decode()
