"""The parts of a query that read and write a file: the only module that puts a path into a query.

DuckDB interprets a path: a folder ``key=value`` above a file is a column that hides the file's own
(https://duckdb.org/docs/stable/data/partitioning/hive_partitioning), ``*``, ``?`` and ``[`` are a pattern
(https://duckdb.org/docs/stable/data/multiple_files/overview), a suffix is a compression, and a scheme is a remote
place. The path of a scratch folder comes from the worker's ``TMPDIR`` and may have any of these. So this module escapes
each path, and sets each option that DuckDB would derive from it.

``open_engine`` also keeps the engine inside its scratch folder, so a misread path is an error and never another file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


GROUP_ROWS = 40_960
"""Rows of a group in a Parquet file, a third of the default. The engine holds a whole group before it writes it. It
also reads a whole group for one message of it."""

# These characters make a path a pattern; a class of one character matches that character.
_PATTERN = re.compile(r"[*?\[]")


def parquet_rows(file: Path, *, numbered: bool = False) -> str:
    """Return the table of a Parquet file's rows, for a ``FROM``.

    Args:
        file: in the engine's scratch folder.
        numbered: whether there is a column ``file_row_number``, from 0 in the file's order.

    >>> from pathlib import Path
    >>> parquet_rows(Path("/tmp/user_id=x/a*b/it's.parquet"))
    "read_parquet('/tmp/user_id=x/a[*]b/it''s.parquet', hive_partitioning = false)"
    """
    number = ", file_row_number = true" if numbered else ""
    return f"read_parquet({_to_read(file)}, hive_partitioning = false{number})"


def parquet_columns(file: Path) -> str:
    """Return the table of a Parquet file's columns; its column ``name`` has their names, and the root's."""
    return f"parquet_schema({_to_read(file)})"


def csv_rows(file: Path, columns: Sequence[str], max_record_bytes: int) -> str:
    """Return the table of the rows of a plain CSV file with a header, every field a text, ``""`` as NULL.

    Args:
        file: in the engine's scratch folder, uncompressed; its name does not count.
        columns: their names in the query; the names in the file do not count.
        max_record_bytes: of a line with its line breaks; the engine holds two in memory.
    """
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns)
    # Not in parallel, because DuckDB 2.0 then refuses some valid files with a line break in a quoted field.
    return (
        f"read_csv({_to_read(file)}, hive_partitioning = false, compression = 'none', "
        f"auto_detect = false, header = true, columns = {{{types}}}, delim = ',', quote = '\"', escape = '\"', "
        f"nullstr = '', strict_mode = true, max_line_size = {max_record_bytes}, "
        f"buffer_size = {2 * max_record_bytes}, parallel = false)"
    )


def write_parquet(query: str, to: Path, *, group_rows: int = GROUP_ROWS, is_kept: bool = True) -> str:
    """Return the statement that writes a query's rows, in its order, to a Parquet file, and overwrites an earlier one.

    Args:
        query: of the rows.
        to: in the engine's scratch folder.
        group_rows: rows of a group.
        is_kept: whether the file goes to the ledger. Another one is compressed less, in half of the time.

    >>> from pathlib import Path
    >>> write_parquet("FROM pairs", Path("/tmp/a*b/x.parquet"))
    "COPY (FROM pairs) TO '/tmp/a*b/x.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 40960)"
    """
    compression = "zstd" if is_kept else "snappy"
    return f"COPY ({query}) TO {_to_write(to)} (FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {group_rows})"


def write_csv(query: str, to: Path) -> str:
    """Return the statement that writes a query's rows, in its order, to a plain CSV file with a header."""
    return f"COPY ({query}) TO {_to_write(to)} (FORMAT csv, HEADER true, COMPRESSION none)"


def folders(scratch: Path) -> list[str]:
    """Return the ``allowed_directories`` for a scratch folder: DuckDB checks both the pattern and the files it matches.

    >>> from pathlib import Path
    >>> folders(Path("/tmp/a*b"))
    ['/tmp/a*b/', '/tmp/a[*]b/']
    """
    literally = f"{_absolute(scratch)}/"
    return list(dict.fromkeys([literally, _PATTERN.sub(r"[\g<0>]", literally)]))


def is_readable(scratch: Path) -> bool:
    r"""Return whether DuckDB can read files below a folder.

    It reads only UTF-8 paths, and treats a backslash in a pattern as a separator.

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
    # COPY does not interpret a path as a pattern.
    return literal(_absolute(file))


def _absolute(path: Path) -> str:
    """Return a path that begins with ``/``, so that it has no scheme and no ``~``."""
    return str(path.absolute())


def literal(text: str) -> str:
    """Return a text as a quoted SQL string; for a file's path, use the functions above.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
