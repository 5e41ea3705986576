r"""A person's list of user IDs to erase: a CSV file as Amplitude exports it, or one ID a line.

It is CSV where its first line that is not blank names the column ``user_id``; only that column is read. Else each line
is an ID, to the last character, with the blanks at its ends; a line that begins with a quotation mark is one quoted
field, which may hold line breaks. A list with a header below other lines, or with NUL characters, is refused, because
no ledger has such IDs and the erasure would find none. As in an export, an ID of white space alone is no ID. Either
form is UTF-8, with or without a byte order mark, gzip or not, and ends its lines with ``\n``, ``\r\n`` or ``\r``.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.membership.csv_file import (
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
_NUL = "\0"
_BREAK = re.compile(r"\r\n|\n|\r")

# A line of a list that has one of these names, alone or between separators, is a header.
_HEADER = re.compile(
    r"""(?:\A|[,;|\t\r\n])[\ufeff "']*((?:user|amplitude)[_ -]?id|group_value)[ "']*(?=[,;|\t\r\n]|\Z)""", re.IGNORECASE
)
# A spreadsheet writes empty rows above a table as separators.
_BLANK_LINES = re.compile(r"""(?:(?:[\s,;]|"")*[\r\n])?""")
_ODD = re.compile(r"""\s.*|.*\s|["'].*|.*["']|.*[,;\t].*""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class UserList:
    """User IDs, each once.

    Attributes:
        user_ids: in the order of the list, to the last character.
        is_csv: whether they are a column ``user_id``.
        blanks: number of rows or lines without an ID.
        odd: number of IDs, in a list without a header, that begin or end with a blank or a quotation mark, or hold a
            separator, and so may be mistakes.
    """

    user_ids: tuple[str, ...] = field(repr=False)
    is_csv: bool
    blanks: int
    odd: int = 0


def read_user_list(content: bytes) -> UserList:
    r"""Read a list of user IDs.

    Raises:
        UserListError: it cannot be read, or names no user; no part of it is used.

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
                "an ID in it begins with a tab. Some of Amplitude's exports put a tab before each value, and only "
                "their header shows it: keep the header; or write the header user_id above IDs that begin with a tab"
            )
        odd = sum(_ODD.fullmatch(user_id) is not None for user_id in user_ids)
    return UserList(user_ids, is_csv, sum(not user_id.strip() for user_id in found), odd)


def _text(content: bytes) -> str:
    try:
        plain = b"".join(without_mark(inflate(io.BytesIO(content))))
        return plain.decode()
    except ExportFileError:
        raise UserListError("its gzip stream is damaged or incomplete") from None
    except UnicodeDecodeError as error:
        line = plain.count(b"\n", 0, error.start) + 1
        raise UserListError(f"it is not UTF-8, line {line}") from None


def _is_csv(text: str) -> bool:
    """Return whether the first line that is not blank is a header with a column ``user_id``."""
    blank = _BLANK_LINES.match(text)
    first = _LINE.match(text, blank.end() if blank else 0)
    try:
        names = plain_names(next(csv.reader([first[1] if first else ""], strict=True), []))
    except csv.Error:
        names = []
    if "user_id" in names:
        return True
    _refuse_what_is_no_list(text, first.end() if first else 0)
    return False


def _refuse_what_is_no_list(text: str, first_line_end: int) -> None:
    """Refuse a text whose lines are no IDs, because an erasure would find none of them and seem to succeed."""
    if _NUL in text:
        raise UserListError(
            f"line {_line_number(text, text.index(_NUL))} has a NUL character, as text in UTF-16 has. Save it as "
            "UTF-8, or give an ID that has one in a CSV file"
        )
    header = _HEADER.search(text)
    if header is None:
        return
    if header.start(1) < first_line_end:
        raise UserListError("its first line is a header without a column user_id between commas")
    raise UserListError(
        f"line {_line_number(text, header.start(1))} is a header below other lines. Remove the lines above it, or "
        "give an ID that reads like a header in a CSV file"
    )


def _line_number(text: str, position: int) -> int:
    return len(_BREAK.findall(text, 0, position)) + 1


def _column(text: str) -> Iterator[str]:
    """Yield the column ``user_id`` of a CSV text; blank lines may precede its header."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next((row for row in reader if "user_id" in plain_names(row)), [])
        column = user_id_column(names)
        for row in reader:
            if "user_id" in plain_names([*row[:column], *row[column + 1 :]]):
                raise UserListError(
                    f"line {reader.line_num} is a header with user_id in another column than the header above it. "
                    "Give the two CSV files one after the other"
                )
            if row and len(row) != len(names):
                raise UserListError(
                    f"line {reader.line_num} has {len(row)} fields, and the header {len(names)}. Quote an ID that has "
                    "a comma"
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
            raise UserListError(
                f"line {_line_number(text, position)} begins with a quotation mark, and is no quoted ID: the mark is "
                "not closed, or text follows the closing mark. Double the marks within an ID, and give rows of several "
                "columns with their header"
            )
        yield match[1].replace('""', '"') if quoted else match[1]
        position = match.end()
