"""A file as the engine reads and writes it: the only module in which a path becomes part of a query.

DuckDB takes much from a path: a folder ``key=value`` above a file is a column that hides the file's own
(https://duckdb.org/docs/stable/data/partitioning/hive_partitioning), ``*``, ``?`` and ``[`` are a pattern
(https://duckdb.org/docs/stable/data/multiple_files/overview), an ending is a compression, and a scheme is a remote
place. A scratch folder's path comes from the worker's ``TMPDIR``, so here a path stands for itself, and each option
that would depend on it is written out.

``open_engine`` keeps the engine inside its scratch folder besides: should a path be misread all the same, that is an
error, and never another file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


GROUP_ROWS = 122_880
"""Rows of a group in a Parquet file, DuckDB's default: the engine holds a group as a whole before it writes it."""

# What makes DuckDB take a path for a pattern; a class of one character stands for that character.
_PATTERN = re.compile(r"[*?\[]")


def parquet_rows(file: Path, *, numbered: bool = False) -> str:
    """Return the table of a Parquet file's rows, for a ``FROM``.

    Args:
        file: in the engine's scratch folder.
        numbered: with a column ``file_row_number``, from 0 in the file's order.

    >>> from pathlib import Path
    >>> parquet_rows(Path("/tmp/user_id=x/a*b/it's.parquet"))
    "read_parquet('/tmp/user_id=x/a[*]b/it''s.parquet', hive_partitioning = false)"
    """
    number = ", file_row_number = true" if numbered else ""
    return f"read_parquet({_to_read(file)}, hive_partitioning = false{number})"


def parquet_columns(file: Path) -> str:
    """Return the table of a Parquet file's columns; its column ``name`` has their names, and that of the root."""
    return f"parquet_schema({_to_read(file)})"


def csv_rows(file: Path, columns: Sequence[str], max_record_bytes: int) -> str:
    """Return the table of the rows of a plain CSV file with a header, every field a text, ``""`` as NULL.

    Args:
        file: in the engine's scratch folder; not compressed, whatever it is called.
        columns: what its columns are called in the query, whatever they are called in the file.
        max_record_bytes: of a line and its line breaks; two are held in memory.
    """
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    # Not in parallel: DuckDB 2.0 refuses some whole files whose quoted fields hold line breaks where its parts meet.
    return (
        f"read_csv({_to_read(file)}, hive_partitioning = false, compression = 'none', "
        f"auto_detect = false, header = true, columns = {{{types}}}, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = '', strict_mode = true, max_line_size = {max_record_bytes}, "
        f"buffer_size = {2 * max_record_bytes}, parallel = false)"
    )


def write_parquet(query: str, to: Path, *, group_rows: int = GROUP_ROWS) -> str:
    """Return the statement that writes a query's rows, in its order, to a Parquet file, over what was there.

    >>> from pathlib import Path
    >>> write_parquet("FROM pairs", Path("/tmp/a*b/x.parquet"))
    "COPY (FROM pairs) TO '/tmp/a*b/x.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
    """
    return f"COPY ({query}) TO {_to_write(to)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {group_rows})"


def write_csv(query: str, to: Path) -> str:
    """Return the statement that writes a query's rows, in its order, to a plain CSV file with a header."""
    return f"COPY ({query}) TO {_to_write(to)} (FORMAT csv, HEADER true, COMPRESSION none)"


def folders(scratch: Path) -> list[str]:
    """Return a scratch folder as ``allowed_directories`` wants it: DuckDB checks the pattern, and what it finds by it.

    >>> from pathlib import Path
    >>> folders(Path("/tmp/a*b"))
    ['/tmp/a*b/', '/tmp/a[*]b/']
    """
    literally = f"{_absolute(scratch)}/"
    return list(dict.fromkeys([literally, _PATTERN.sub(r"[\g<0>]", literally)]))


def is_readable(scratch: Path) -> bool:
    r"""Return whether DuckDB can read files below a folder at all.

    It takes UTF-8 only, and a backslash in a pattern for a separator.

    >>> from pathlib import Path
    >>> [is_readable(Path(path)) for path in ("/tmp/a*b", "/tmp/a\\b", "/tmp/a*\\b", "/tmp/\udcff")]
    [True, True, False, False]
    """
    path = _absolute(scratch)
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return not ("\\" in path and _PATTERN.search(path))


def _to_read(file: Path) -> str:
    return literal(_PATTERN.sub(r"[\g<0>]", _absolute(file)))


def _to_write(file: Path) -> str:
    # COPY takes a path for what it is.
    return literal(_absolute(file))


def _absolute(path: Path) -> str:
    """Return a path that begins with ``/``, and so with no scheme and no ``~``."""
    return str(path.absolute())


def literal(text: str) -> str:
    """Quote a text as an SQL string. A file's path goes through ``core.engine_file`` instead.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
