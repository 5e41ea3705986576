r"""A list of user IDs as a person hands it over: a CSV file as Amplitude exports it, or one ID a line.

It is CSV where its first line names the column ``user_id``; only that column is read. Else each line is an ID, to the
last character, blanks at its ends included; a line that begins with a quotation mark is one quoted field, which may
hold line breaks. As in an export, an ID that is empty or white space alone is no ID. Either form is UTF-8, with or
without a byte order mark, gzip or not, and ends its lines with ``\n``, ``\r\n`` or ``\r``.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.membership.membership import (
    has_tabs,
    inflate,
    plain_names,
    user_id_column,
    without_mark,
)
from airflow_provider_amplitude_segment.exceptions import ExportFileError, UserListError

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"(?:\r\n|\n|\r|\Z)')
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\n|\r|\Z)")
_BREAK = re.compile(r"\r\n|\n|\r")

# Names that stand in the first line of a list only where that is a header.
_HEADER_NAMES = frozenset({"user_id", "user id", "userid", "amplitude_id", "group_value"})
_ODD = re.compile(r"""\s.*|.*\s|["'].*|.*["']|.*[,;\t].*""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UserList:
    """User IDs, each once.

    Attributes:
        user_ids: in the order of the list, kept to the last character.
        is_csv: whether they are a column ``user_id``.
        blanks: rows or lines without an ID.
        odd: IDs of a list without a header that begin or end with a blank or a quotation mark, or hold a separator:
            they may be meant otherwise.
    """

    user_ids: tuple[str, ...] = field(repr=False)
    is_csv: bool
    blanks: int
    odd: int = 0


def read_user_list(content: bytes) -> UserList:
    r"""Read a list of user IDs.

    Raises:
        UserListError: it cannot be read as it is written, or names no user; no part of it is taken.

    >>> read_user_list(b'"amplitude_id","user_id"\r\n"1","ann"\r\n"2",""\r\n').user_ids
    ('ann',)
    >>> read_user_list(b'\xef\xbb\xbf"\tuser_id"\n"\tann"\n').user_ids
    ('ann',)
    >>> read_user_list(b'007\nNULL\n"line\nbreak"\n"5"" pipe"\n007\n').user_ids
    ('007', 'NULL', 'line\nbreak', '5" pipe')
    >>> read_user_list(b" ann\nb,c\n\n")
    UserList(is_csv=False, blanks=1, odd=2)
    """
    text = _text(content)
    is_csv, odd = _is_csv(text), 0
    found = list(_column(text) if is_csv else _lines(text))
    user_ids = tuple(dict.fromkeys(user_id for user_id in found if user_id.strip()))
    if not user_ids:
        raise UserListError("it names no user")
    if not is_csv:
        if any(user_id.startswith("\t") for user_id in user_ids):
            raise UserListError(
                "an ID in it begins with a tab. Some of Amplitude's exports put one before each value, which is known "
                "by their header: keep the header; or write the header user_id above IDs that begin with a tab"
            )
        odd = sum(_ODD.fullmatch(user_id) is not None for user_id in user_ids)
    return UserList(user_ids, is_csv, sum(not user_id.strip() for user_id in found), odd)


def _text(content: bytes) -> str:
    try:
        plain = b"".join(without_mark(inflate(iter([content]))))
        return plain.decode()
    except ExportFileError:
        raise UserListError("its gzip stream is damaged, or ends early") from None
    except UnicodeDecodeError as error:
        line = plain.count(b"\n", 0, error.start) + 1
        raise UserListError(f"it is not UTF-8, line {line}") from None


def _is_csv(text: str) -> bool:
    """Tell whether the first line is a header, and refuse one that has no column ``user_id`` as it must be written."""
    first = _LINE.match(text)
    line = first[1] if first else ""
    try:
        names = plain_names(next(csv.reader([line], strict=True), []))
    except csv.Error:
        names = []
    if "user_id" in names:
        return True
    words = {word.strip(" \t\"'").lower() for word in re.split(r"[,;|\t]", line)}
    if words & _HEADER_NAMES:
        raise UserListError("its first line is a header, and has no column user_id between commas")
    return False


def _column(text: str) -> Iterator[str]:
    """Yield the column ``user_id`` of a CSV text with a header."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader)
        column = user_id_column(names)
        for row in reader:
            if row and len(row) != len(names):
                raise UserListError(
                    f"line {reader.line_num} has {len(row)} fields, and the header {len(names)}: an ID with a comma "
                    "must be quoted"
                )
            if row:
                yield row[column].removeprefix("\t") if has_tabs(names, column) else row[column]
    except csv.Error:
        problem = f"line {reader.line_num} is not CSV: a quotation mark is not closed, or not doubled"
        raise UserListError(problem) from None


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text, a quoted one without its quotes."""
    position = 0
    while position < len(text):
        quoted = text[position] == '"'
        match = (_QUOTED if quoted else _LINE).match(text, position)
        if match is None:
            number = len(_BREAK.findall(text, 0, position)) + 1
            raise UserListError(
                f"line {number} begins with a quotation mark, and is no quoted ID: the mark is not closed, or "
                "something follows where it is. Double the marks within an ID, and give rows of several columns with "
                "their header"
            )
        yield match[1].replace('""', '"') if quoted else match[1]
        position = match.end()
