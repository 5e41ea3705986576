"""The CSV file of an export: inflated, checked to its last byte, and its columns found by name.

The file is CSV in UTF-8, with a header and every field quoted, gzip or not. A file that cannot be read to its last
character is refused as a whole.
"""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from dataclasses import dataclass
from itertools import chain
from typing import IO, TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine.engine_file import csv_rows
from airflow_provider_amplitude_segment.core.engine.scratch import ScratchFile, on_scratch
from airflow_provider_amplitude_segment.exceptions import ExportCutOffError, ExportFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_MAX_RECORD_BYTES = 8_000_000
_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BITS = zlib.MAX_WBITS | 16


@dataclass(frozen=True, slots=True)
class CsvFile:
    """An export's file as plain CSV.

    Attributes:
        path: in a scratch folder, without gzip and byte order mark.
        names: the header.
        file_bytes: size of the file at ``path``.
    """

    path: Path
    names: tuple[str, ...]
    file_bytes: int

    def text_of(self, column: int) -> str:
        """Return the SQL expression of a column's text, without a tab before each value."""
        return rf"regexp_replace(c{column}, '^\t', '')" if has_tabs(self.names, column) else f"c{column}"

    def write(self, engine: duckdb.DuckDBPyConnection, query: str, write: Callable[[str], str]) -> None:
        """Write a query's rows with the statement of ``write``.

        The query reads this file as ``csv``, with columns ``c0``, ``c1`` and so on.

        Raises:
            ExportFileError: a row has another number of fields than the header.
        """
        rows = csv_rows(self.path, [f"c{index}" for index in range(len(self.names))], _MAX_RECORD_BYTES)
        try:
            engine.execute(write(f"WITH csv AS (FROM {rows}) {query}"))
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            # Only the line's number is taken, because the engine's message quotes the line and so user IDs.
            line = re.search(r"Line: (\d+)", str(error))
            where = f", line {line[1]}" if line else ""
            raise ExportFileError(f"not CSV with {len(self.names)} columns throughout{where}") from None


def read_csv_file(export_file: Path, plain: Path, *, is_end_announced: bool, is_empty_allowed: bool = False) -> CsvFile:
    """Write an export's file as plain CSV, and return it.

    Args:
        export_file: the file as Amplitude sent it.
        plain: where to write it.
        is_end_announced: whether a cut is an error already; where not, the file must end with a line break.
        is_empty_allowed: whether a file without a byte, or with a line break alone, is one without rows, whose header
            has no name; and a file without a line break is a header alone.

    Raises:
        ExportFileError: it is not UTF-8, or has no header.
        ExportCutOffError: it ends early.
    """
    file_bytes, last, has_line_break = _write_plain(export_file, plain)
    if is_empty_allowed:
        if not file_bytes or _is_line_break(plain, file_bytes):
            return CsvFile(plain, (), file_bytes)
        if not has_line_break:
            # The engine then reads a header, and no row of it.
            with on_scratch(plain), plain.open("ab") as file:
                file.write(b"\n")
            file_bytes, last = file_bytes + 1, b"\n"
    # A field that is cut after a doubled quote, or before a comma, still is a field, and names another user.
    if not (is_end_announced or last in {b"\r", b"\n"}):
        raise ExportCutOffError("ends inside a line")
    return CsvFile(plain, tuple(_header(plain)), file_bytes)


def inflate(source: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes without gzip, member after member (RFC 1952, 2.2).

    zlib checks each member. Python's ``gzip`` would skip zero bytes after a member, which makes a file with a
    zero-filled end a smaller cohort, and it does not check the header.

    Raises:
        ExportFileError: its gzip stream is damaged.
        ExportCutOffError: its gzip stream ends early.
    """
    chunks = iter(lambda: source.read(_CHUNK_BYTES), b"")
    first = next(chunks, b"")
    if not first.startswith(_GZIP_MAGIC):
        yield first
        yield from chunks
        return
    member = zlib.decompressobj(wbits=_GZIP_BITS)
    for chunk in chain([first], chunks):
        rest = chunk
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=_GZIP_BITS)
            try:
                yield member.decompress(rest)
            except zlib.error:
                raise ExportFileError("its gzip stream is damaged") from None
            rest = member.unused_data
    if not member.eof:
        raise ExportCutOffError("the gzip stream ends early: not taken for a smaller cohort")


def without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks of ``inflate`` without a byte order mark."""
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) >= len(codecs.BOM_UTF8):
            break
    yield start.removeprefix(codecs.BOM_UTF8)
    yield from chunks


def inflated_bytes(export_file: Path) -> int:
    """Return an export's size in bytes without gzip.

    Raises:
        ExportFileError: its gzip stream is damaged or ends early.
        EngineError: it cannot be read.
    """
    with on_scratch(export_file), export_file.open("rb") as source:
        return sum(map(len, inflate(source)))


def _write_plain(export_file: Path, plain: Path) -> tuple[int, bytes, bool]:
    """Write the file inflated and without a byte order mark; refuse a file that is not whole UTF-8 text.

    Returns:
        Its size in bytes; its last byte, which is empty for an empty file; and whether it has a line break.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = quotes = written = 0
    last, has_line_break = b"", False
    with on_scratch(export_file), export_file.open("rb") as source, ScratchFile(plain) as file:
        for chunk in without_mark(inflate(source)):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                # ``error.object`` begins with the bytes that are left over from the chunk before.
                line = lines + error.object[: error.start].count(b"\n") + 1
                raise ExportFileError(f"not UTF-8, line {line}: nothing is guessed") from None
            lines += chunk.count(b"\n")
            quotes += chunk.count(b'"')
            last = chunk[-1:] or last
            has_line_break = has_line_break or b"\n" in chunk or b"\r" in chunk
            file.write(chunk)
            written += len(chunk)
    if decoder.getstate()[0]:
        raise ExportCutOffError("ends inside a character")
    # RFC 4180 doubles a quote inside a field, so a whole file has an even number of them.
    if quotes % 2:
        raise ExportCutOffError("ends inside a quoted field")
    return written, last, has_line_break


def _is_line_break(plain: Path, file_bytes: int) -> bool:
    with on_scratch(plain):
        return file_bytes <= len(b"\r\n") and not plain.read_bytes().strip(b"\r\n")


def _header(plain: Path) -> list[str]:
    with on_scratch(plain), plain.open(encoding="utf-8", newline="") as file:
        try:
            names = next(csv.reader(iter(lambda: file.readline(_MAX_RECORD_BYTES), ""), strict=True), None)
        except csv.Error:
            raise ExportFileError("not CSV, line 1") from None
    if not names:
        raise ExportFileError("no header: the export is not a cohort file")
    # The engine may find no rows in such a file.
    if any("\n" in name or "\r" in name for name in names):
        raise ExportFileError("a line break in its header")
    return names


def plain_names(names: Sequence[str]) -> list[str]:
    """Return a header's names without the tab that some of Amplitude's exports put before every string.

    Amplitude does not document the tab.
    """
    return [name.removeprefix("\t") for name in names]


def has_tabs(names: Sequence[str], column: int) -> bool:
    """Return whether a tab stands before each value of a column, as one then stands before its name."""
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


def property_column(names: Sequence[str], name: str) -> int:
    """Return the first column of a user property.

    >>> property_column(["amplitude_id", "user_id", "plan"], "plan")
    2
    """
    found = plain_names(names)
    if name not in found:
        others = ", ".join(other for other in found if other not in {"amplitude_id", "user_id"})
        raise ExportFileError(f"no column for the user property {name!r}; its properties are: {others or 'none'}")
    return found.index(name)
