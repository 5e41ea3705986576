"""From Amplitude's file to a membership: the distinct user IDs of a cohort, kept to the last character.

The file is CSV with a header, UTF-8, every field quoted, gzip or not (amplitude-api.md 1.6). A user ID is an opaque
string: ``007``, ``NULL``, a line break, white space at either end and either Unicode form of é are different, valid
IDs. A row whose user ID is empty or only white space is an anonymous user: counted, never sent. A file that cannot be
read to its last character is refused as a whole; a smaller cohort is never guessed from it.
"""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import csv_rows, parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import (
    ScratchFile,
    on_scratch,
    remove_scratch,
    scratch_chunks,
)
from airflow_provider_amplitude_segment.exceptions import ExportCutOffError, ExportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAX_RECORD_BYTES = 8_000_000
_GZIP_MAGIC = b"\x1f\x8b"

# What Python's str.isspace() takes for white space, in RE2's words.
_BLANK = r"[\p{Z}\t-\r\x1c-\x1f\x{85}]*"


@dataclass(frozen=True, slots=True)
class Membership:
    """Who is in the cohort, as one export tells it.

    Attributes:
        path: Parquet with the column ``user_id``, distinct and never empty, in no order.
        rows: rows of the file, without its header.
        members: distinct user IDs.
        anonymous: rows without a user ID.
        duplicates: rows that repeat a user ID.
        properties: Parquet ``user_id`` and a column for each user property, text or NULL; ``None`` where none were
            asked for. Of a member who is not in it nothing is known: what Amplitude has is too long for Segment.
        property_names: of those columns.
        too_long: members who are not in it.
        file_bytes: of the file, inflated.
    """

    path: Path
    rows: int
    members: int
    anonymous: int
    duplicates: int
    properties: Path | None = None
    property_names: tuple[str, ...] = ()
    too_long: int = 0
    file_bytes: int = 0

    def counts(self) -> dict[str, Any]:
        """Return its counts by the report's names."""
        return {
            "rows": self.rows,
            "members": self.members,
            "anonymous": self.anonymous,
            "duplicates": self.duplicates,
        }


def empty_membership(engine: duckdb.DuckDBPyConnection, scratch: Path) -> Membership:
    """Return the membership of a cohort that has no member any more; its file is written to ``scratch``."""
    path = scratch / "nobody.parquet"
    engine.execute(write_parquet("SELECT NULL::VARCHAR AS user_id WHERE false", path))
    return Membership(path, rows=0, members=0, anonymous=0, duplicates=0)


def read_membership(
    engine: duckdb.DuckDBPyConnection,
    export_file: Path,
    scratch: Path,
    properties: Sequence[str] = (),
    *,
    is_end_announced: bool = True,
) -> Membership:
    """Read an export's file, gzip or not, into distinct user IDs.

    Args:
        engine: a DuckDB connection.
        export_file: the file as Amplitude sent it.
        scratch: an existing folder; ``cohort.csv`` and ``members.parquet`` are written there.
        properties: names of user properties to read along, each a column of the file.
        is_end_announced: whether a cut would have been seen; a file must end with its last line where not.

    Raises:
        ExportFileError: the file is not a cohort of users, or lacks a property; names the fault, never a row's text.
        ExportCutOffError: the file ends early.
    """
    plain = scratch / "cohort.csv"
    file_bytes, last = _write_plain(export_file, plain)
    # A field that is cut behind a doubled quote, or before a comma, is a field, and another user's.
    if not (is_end_announced or last in {b"\r", b"\n"}):
        raise ExportCutOffError("ends inside a line")
    names = _header(plain)
    user_id = _text_of(names, user_id_column(names))
    columns = {name: _text_of(names, _property_column(names, name)) for name in properties}
    path, exported = scratch / "members.parquet", scratch / "exported.parquet"
    if columns:
        more = "".join(f", nullif({text}, '') AS {user_properties.column(name)}" for name, text in columns.items())
        _write_from_csv(engine, plain, len(names), f"SELECT {_id(user_id)}{more} FROM csv", exported, properties)
        counted = f"SELECT user_id, count(*) AS rows FROM {parquet_rows(exported)} GROUP BY 1"
        engine.execute(write_parquet(counted, path))
    else:
        _write_from_csv(engine, plain, len(names), f"SELECT {_id(user_id)}, count(*) AS rows FROM csv GROUP BY 1", path)
    remove_scratch(plain)
    rows, members, anonymous = one_row(
        engine,
        f"""SELECT coalesce(sum(rows), 0)::BIGINT, count(user_id),
                   coalesce(sum(rows) FILTER (user_id IS NULL), 0)::BIGINT
            FROM {parquet_rows(path)}""",
    )
    membership = Membership(path, rows, members, anonymous, rows - anonymous - members, file_bytes=file_bytes)
    return _with_properties(engine, membership, exported, properties) if columns else membership


def _with_properties(
    engine: duckdb.DuckDBPyConnection, membership: Membership, exported: Path, properties: Sequence[str]
) -> Membership:
    """Add the properties of each member who stands in the export's rows, which are not needed any more then.

    Amplitude repeats a user ID after users were merged, in no order it documents: of each property the greatest text
    is taken. Only those few are grouped, as an aggregate of texts is kept in memory whole.
    """
    path = exported.with_name("properties.parquet")
    greatest = "".join(f", max({c}) AS {c}" for c in map(user_properties.column, properties))
    engine.execute(
        write_parquet(
            f"""WITH exported AS (FROM {parquet_rows(exported)} WHERE user_id IS NOT NULL),
            repeated AS (SELECT user_id FROM {parquet_rows(membership.path)} WHERE rows > 1)
            FROM (
                SELECT user_id{user_properties.listed(properties)} FROM exported ANTI JOIN repeated USING (user_id)
                UNION ALL
                SELECT user_id{greatest} FROM exported SEMI JOIN repeated USING (user_id) GROUP BY user_id
            ) WHERE {user_properties.encoded_bytes(properties)} <= {user_properties.MAX_BYTES}""",
            path,
            group_rows=user_properties.group_rows(properties),
        )
    )
    remove_scratch(exported)
    (known,) = one_row(engine, f"SELECT count(*) FROM {parquet_rows(path)}")
    return replace(
        membership, properties=path, property_names=tuple(properties), too_long=membership.members - int(known)
    )


def inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes without gzip, member after member (RFC 1952, 2.2).

    Each member says where it ends, and none says that it is the last: a file that is cut between two is not refused.

    Raises:
        ExportFileError: its gzip stream is damaged.
        ExportCutOffError: its gzip stream ends early.
    """
    first = next(chunks, b"")
    if not first.startswith(_GZIP_MAGIC):
        yield first
        yield from chunks
        return
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    for compressed in chain([first], chunks):
        chunk = compressed
        while chunk:
            if inflater.eof:
                inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            try:
                yield inflater.decompress(chunk)
            except zlib.error:
                raise ExportFileError("its gzip stream is damaged") from None
            chunk = inflater.unused_data
    if not inflater.eof:
        raise ExportCutOffError("the gzip stream ends early: not taken for a smaller cohort")


def inflated_bytes(export_file: Path) -> int:
    """Return how large an export's file is without gzip.

    Raises:
        ExportFileError: its gzip stream is damaged or ends early.
        EngineError: it cannot be read.
    """
    return sum(map(len, inflate(scratch_chunks(export_file))))


def without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks without a byte order mark, of which the first chunk may hold only a part."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(codecs.BOM_UTF8):
            break
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def _write_plain(export_file: Path, plain: Path) -> tuple[int, bytes]:
    """Write the file inflated and without a byte order mark, and refuse what is not whole UTF-8 text.

    Returns:
        Its size in bytes, and its last byte, which is empty for an empty file.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = quotes = written = 0
    last = b""
    with ScratchFile(plain) as file:
        for chunk in without_mark(inflate(scratch_chunks(export_file))):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                # ``error.object`` begins with the bytes that were left over of the chunk before.
                line = lines + error.object[: error.start].count(b"\n") + 1
                raise ExportFileError(f"not UTF-8, line {line}: nothing is guessed") from None
            lines += chunk.count(b"\n")
            quotes += chunk.count(b'"')
            last = chunk[-1:] or last
            file.write(chunk)
            written += len(chunk)
    if decoder.getstate()[0]:
        raise ExportCutOffError("ends inside a character")
    # RFC 4180 doubles a quote inside a field, so a whole file has an even number of them.
    if quotes % 2:
        raise ExportCutOffError("ends inside a quoted field")
    return written, last


def _header(plain: Path) -> list[str]:
    with on_scratch(plain), plain.open(encoding="utf-8", newline="") as file:
        try:
            names = next(csv.reader(iter(lambda: file.readline(_MAX_RECORD_BYTES), ""), strict=True), None)
        except csv.Error:
            raise ExportFileError("not CSV, line 1") from None
    if not names:
        raise ExportFileError("no header: the export is not a cohort file")
    # The engine may take such a file's rows for none.
    if any("\n" in name or "\r" in name for name in names):
        raise ExportFileError("a line break in its header")
    return names


def plain_names(names: Sequence[str]) -> list[str]:
    """Return a header's names without the tab that some of Amplitude's exports put before every string.

    The tab is not documented (amplitude-api.md 1.6).
    """
    return [name.removeprefix("\t") for name in names]


def has_tabs(names: Sequence[str], column: int) -> bool:
    """Tell whether a tab stands before each value of a column: then one does before its name, too."""
    return names[column].startswith("\t")


def user_id_column(names: Sequence[str]) -> int:
    """Return the first column that holds user IDs.

    Raises:
        ExportFileError: there is none.

    >>> user_id_column(["amplitude_id", "user_id", "plan", "amplitude_id"])
    1
    """
    found = plain_names(names)
    if "user_id" in found:
        return found.index("user_id")
    if "group_value" in found:
        raise ExportFileError("no user_id column: a cohort of groups, not of users")
    raise ExportFileError("no user_id column")


def _property_column(names: list[str], name: str) -> int:
    """Return the first column of a user property.

    >>> _property_column(["amplitude_id", "user_id", "plan"], "plan")
    2
    """
    found = plain_names(names)
    if name not in found:
        others = ", ".join(other for other in found if other not in {"amplitude_id", "user_id"})
        raise ExportFileError(f"no column for the user property {name!r}; its properties are: {others or 'none'}")
    return found.index(name)


def _text_of(names: list[str], column: int) -> str:
    """Return the expression of a column's text, without the tab before each where there is one."""
    return rf"regexp_replace(c{column}, '^\t', '')" if has_tabs(names, column) else f"c{column}"


def _id(text: str) -> str:
    """Return the column ``user_id``: NULL of an anonymous user."""
    return f"CASE WHEN regexp_full_match({text}, '{_BLANK}') THEN NULL ELSE {text} END AS user_id"


def _write_from_csv(  # one file in, one file out
    engine: duckdb.DuckDBPyConnection,
    plain: Path,
    columns: int,
    query: str,
    to: Path,
    properties: Sequence[str] = (),
) -> None:
    """Write what a query makes of the file, ``csv`` in it, whose columns are ``c0``, ``c1`` and so on."""
    rows = csv_rows(plain, [f"c{index}" for index in range(columns)], _MAX_RECORD_BYTES)
    try:
        engine.execute(
            write_parquet(f"WITH csv AS (FROM {rows}) {query}", to, group_rows=user_properties.group_rows(properties))
        )
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        # The engine's own message quotes the line, and with it user IDs: only the number is taken from it, if any.
        line = re.search(r"Line: (\d+)", str(error))
        where = f", line {line[1]}" if line else ""
        raise ExportFileError(f"not CSV with {columns} columns throughout{where}") from None
