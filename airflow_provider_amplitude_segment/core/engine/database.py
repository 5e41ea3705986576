"""The DuckDB engine: it reads, compares and encodes users in bounded memory.

Every query of core runs in a connection made here, so that its memory, threads, spilling and file access are set in one
place. User IDs reach a query only as files or bound parameters. An engine's error is never passed on, because it may
quote them.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_amplitude_segment.core.engine.engine_file import folders, is_readable, literal
from airflow_provider_amplitude_segment.core.engine.scratch import disk_error
from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY_MIB = 168
"""DuckDB's memory; it spills the rest to disk. 10,000,000 IDs were synced within it."""

WIDE_MEMORY_MIB = 384
"""DuckDB's memory where rows have user properties."""

THREADS = 2

_DISK_FULL = "max_temp_directory_size"

_FILE_MISSING = "No files found that match the pattern"

# The faults of a disk; DuckDB quotes the C library's text of each.
_DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EMFILE,
    errno.ENFILE,
    errno.EIO,
)


def engine_memory_mib(*, is_wide: bool) -> int:
    """Return the memory of an engine, in MiB."""
    return WIDE_MEMORY_MIB if is_wide else MEMORY_MIB


@contextmanager
def open_engine(
    scratch: Path, *, memory_mib: int | None = None, is_wide: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory engine that reads, writes and spills only in ``scratch``; a context manager that closes it.

    No name in a query makes it read another file, send a request, or fetch an extension.

    Args:
        scratch: an existing folder on the worker's own disk; the caller removes it. No other engine spills there.
        memory_mib: the engine's memory; ``None`` for the default.
        is_wide: whether rows have user properties; then it has one thread, because each thread holds many rows that it
            cannot spill.

    Raises:
        EngineError: DuckDB raised in the body; where the disk failed, the error names the worker's temporary folder.
    """
    if not is_readable(scratch):
        raise disk_error(scratch, "OSError", "DuckDB cannot read files below a folder of this name")
    try:
        with duckdb.connect(config=_config(scratch, memory_mib, is_wide=is_wide)) as engine:
            # A progress bar would be written into the task's log.
            engine.execute("SET enable_progress_bar = false")
            # DuckDB accepts these only after it has connected
            # (https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
            engine.execute(f"SET allowed_directories = [{', '.join(map(literal, folders(scratch)))}]")
            engine.execute("SET enable_external_access = false")
            yield engine
    except duckdb.Error as error:
        kind, reason = type(error).__name__, disk_reason(error)
        raise (disk_error(scratch, kind, reason) if reason else EngineError(kind)) from None


def _config(scratch: Path, memory_mib: int | None, *, is_wide: bool) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{memory_mib or engine_memory_mib(is_wide=is_wide)}MiB",
        "threads": 1 if is_wide else THREADS,
        "temp_directory": str(scratch.absolute()),
        # The default; a message's position depends on it.
        "preserve_insertion_order": True,
        # The wheel has all extensions that are needed; by default a path's scheme or suffix can fetch another one.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        # By default a query reads a Python variable where a table of that name does not exist.
        "python_enable_replacements": False,
    }


def disk_reason(error: duckdb.Error) -> str | None:
    """Return the fault of the scratch folder's disk behind an error, in words; ``None`` for any other error.

    The engine uses no other disk. Its own text is not passed on, because it may quote users.

    >>> disk_reason(duckdb.IOException('Could not write file "x.parquet": No space left on device'))
    'No space left on device'
    """
    text = str(error)
    # The engine limits spilling to the disk space that was free when it opened, and reports the limit as out of memory.
    if _DISK_FULL in text:
        return os.strerror(errno.ENOSPC)
    # The engine reads only files that were written just before.
    if _FILE_MISSING in text:
        return os.strerror(errno.ENOENT)
    if not isinstance(error, duckdb.IOException):
        return None
    return next((reason for reason in map(os.strerror, _DISK) if reason in text), None)


def widen(engine: duckdb.DuckDBPyConnection) -> None:
    """Set the memory and the thread of rows with user properties, in an engine that was not opened for them.

    A state or an abandoned plan may have user properties although this sync sends none.
    """
    (threads,) = one_row(engine, "SELECT current_setting('threads')")
    if int(threads) > 1:
        engine.execute("SET threads = 1")
        engine.execute(f"SET memory_limit = '{WIDE_MEMORY_MIB}MiB'")


def one_row(engine: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> tuple[Any, ...]:
    """Return the only row of a query that has exactly one."""
    row = engine.execute(query, parameters).fetchone()
    if row is None:
        msg = "the query returned no row"
        raise AssertionError(msg)
    return tuple(row)
