"""The DuckDB engine: what reads, compares and encodes users in bounded memory.

Every query of the core runs in a connection made here, so that memory, threads, spilling and what it may reach are set
in one place.
User IDs reach a query as files or bound parameters only; an engine's error is never passed on, as it may quote them.
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
"""What DuckDB may hold in memory; the rest is spilled. 10,000,000 IDs went through in this."""

WIDE_MEMORY_MIB = 384
"""The same where rows have user properties."""

THREADS = 2

_SPILLED_ALL = "max_temp_directory_size"

_GONE = "No files found that match the pattern"

# What a disk refuses, in the words of the C library, which DuckDB quotes.
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
    """Return what an engine may hold in memory, in MiB."""
    return WIDE_MEMORY_MIB if is_wide else MEMORY_MIB


@contextmanager
def open_engine(
    scratch: Path, *, memory_mib: int | None = None, is_wide: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a new in-memory engine that reads and writes in ``scratch`` only, spills there, and is closed on leaving.

    No name in a query can make it read another file, ask another machine, or fetch an extension.

    Args:
        scratch: an existing folder on the worker's own disk; the caller removes it. No other engine spills there.
        memory_mib: what it may hold in memory; ``None`` for the usual.
        is_wide: its rows have user properties: one thread, as each holds many rows that it cannot spill.

    Raises:
        EngineError: whatever DuckDB raises in the body and nobody there understands; of the disk, it names the worker's
            temporary folder.
    """
    if not is_readable(scratch):
        raise disk_error(scratch, "OSError", "DuckDB reads no files below a folder of this name")
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib or engine_memory_mib(is_wide=is_wide)}MiB",
        "threads": 1 if is_wide else THREADS,
        "temp_directory": str(scratch.absolute()),
        # Its default; a message's position rests on it.
        "preserve_insertion_order": True,
        # What is needed of extensions is in the wheel; by default a path's scheme or ending could fetch another one.
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        # By default a Python variable stands in for a table that there is not.
        "python_enable_replacements": False,
    }
    try:
        with duckdb.connect(config=config) as engine:
            # A progress bar would be written into the task's log.
            engine.execute("SET enable_progress_bar = false")
            # Neither is taken when it connects (https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
            engine.execute(f"SET allowed_directories = [{', '.join(map(literal, folders(scratch)))}]")
            engine.execute("SET enable_external_access = false")
            yield engine
    except duckdb.Error as error:
        kind, reason = type(error).__name__, disk_reason(error)
        raise (disk_error(scratch, kind, reason) if reason else EngineError(kind)) from None


def disk_reason(error: duckdb.Error) -> str | None:
    """Return what the disk of the scratch folder said, in words; ``None`` where an error is of another kind.

    The engine reaches no other disk. Its own text is not passed on, as it may quote users.

    >>> disk_reason(duckdb.IOException('Could not write file "x.parquet": No space left on device'))
    'No space left on device'
    """
    said = str(error)
    # It spills into as much of the disk as was free when it began, and calls the end of that a want of memory.
    if _SPILLED_ALL in said:
        return os.strerror(errno.ENOSPC)
    # What it reads was written just before.
    if _GONE in said:
        return os.strerror(errno.ENOENT)
    if not isinstance(error, duckdb.IOException):
        return None
    return next((reason for reason in map(os.strerror, _DISK) if reason in said), None)


def widen(engine: duckdb.DuckDBPyConnection) -> None:
    """Make an engine ready for rows with user properties, where it was not opened for them.

    A state may have them, or a plan that was given up, although this sync takes none along.
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
