"""The CSV file of an export: inflated, checked to its last byte, and its columns by name.

CSV with a header, UTF-8, every field quoted, gzip or not (amplitude-api.md 1.6). A file that cannot be read to its last
character is refused as a whole.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine.engine_file import csv_rows, write_parquet
from airflow_provider_amplitude_segment.core.engine.scratch import ScratchFile, on_scratch
from airflow_provider_amplitude_segment.exceptions import ExportCutOffError, ExportFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MAX_RECORD_BYTES = 8_000_000
_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class CsvFile:
    """An export's file as plain CSV.

    Attributes:
        path: in a scratch folder, without gzip and byte order mark.
        names: the header.
        file_bytes: its size.
    """

    path: Path
    names: tuple[str, ...]
    file_bytes: int

    def text_of(self, column: int) -> str:
        """Return the expression of a column's text, without the tab before each where there is one."""
        return rf"regexp_replace(c{column}, '^\t', '')" if has_tabs(self.names, column) else f"c{column}"

    def write(self, engine: duckdb.DuckDBPyConnection, query: str, to: Path, group_rows: int) -> None:
        """Write what a query makes of the file, ``csv`` in it, whose columns are ``c0``, ``c1`` and so on.

        Raises:
            ExportFileError: a row has another number of fields than the header.
        """
        rows = csv_rows(self.path, [f"c{index}" for index in range(len(self.names))], _MAX_RECORD_BYTES)
        try:
            engine.execute(write_parquet(f"WITH csv AS (FROM {rows}) {query}", to, group_rows=group_rows))
        except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
            # The engine's own message quotes the line, and with it user IDs: only the number is taken from it, if any.
            line = re.search(r"Line: (\d+)", str(error))
            where = f", line {line[1]}" if line else ""
            raise ExportFileError(f"not CSV with {len(self.names)} columns throughout{where}") from None


def read_csv_file(export_file: Path, plain: Path, *, is_end_announced: bool) -> CsvFile:
    """Write an export's file as plain CSV, and return it.

    Args:
        export_file: the file as Amplitude sent it.
        plain: written anew.
        is_end_announced: whether a cut would have been seen; a file must end with its last line where not.

    Raises:
        ExportFileError: it is not UTF-8, or has no header.
        ExportCutOffError: it ends early.
    """
    file_bytes, last = _write_plain(export_file, plain)
    # A field that is cut behind a doubled quote, or before a comma, is a field, and another user's.
    if not (is_end_announced or last in {b"\r", b"\n"}):
        raise ExportCutOffError("ends inside a line")
    return CsvFile(plain, tuple(_header(plain)), file_bytes)


def inflate(source: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes without gzip.

    Raises:
        ExportFileError: its gzip stream is damaged.
        ExportCutOffError: its gzip stream ends early.
    """
    is_gzip = source.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    source.seek(0)
    reader = gzip.GzipFile(fileobj=source) if is_gzip else source
    try:
        while chunk := reader.read(_CHUNK_BYTES):
            yield chunk
    except EOFError:
        raise ExportCutOffError("the gzip stream ends early: not taken for a smaller cohort") from None
    except (gzip.BadGzipFile, zlib.error):
        raise ExportFileError("its gzip stream is damaged") from None


def without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks of ``inflate`` without a byte order mark, of which the first one holds all."""
    yield next(chunks, b"").removeprefix(codecs.BOM_UTF8)
    yield from chunks


def inflated_bytes(export_file: Path) -> int:
    """Return how large an export's file is without gzip.

    Raises:
        ExportFileError: its gzip stream is damaged or ends early.
        EngineError: it cannot be read.
    """
    with on_scratch(export_file), export_file.open("rb") as source:
        return sum(map(len, inflate(source)))


def _write_plain(export_file: Path, plain: Path) -> tuple[int, bytes]:
    """Write the file inflated and without a byte order mark, and refuse what is not whole UTF-8 text.

    Returns:
        Its size in bytes, and its last byte, which is empty for an empty file.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = quotes = written = 0
    last = b""
    with on_scratch(export_file), export_file.open("rb") as source, ScratchFile(plain) as file:
        for chunk in without_mark(inflate(source)):
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
