"""The DuckDB engine: it reads, compares and encodes users in bounded memory.

Every query of core runs in a connection made here, so that its memory, threads, spilling and file access are set in one
place. User IDs reach a query only as files or bound parameters. An engine's error is never passed on, because it may
quote them.
"""

from __future__ import annotations

import errno
import os
import threading
from contextlib import closing, contextmanager
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

_LEAST_MEMORY_MIB = 64
"""DuckDB's memory for each destination that is compared and delivered in parallel."""

THREADS = 2

_WIDENED = "widened_mib"
"""The variable of a connection with the memory that ``widen`` sets."""

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


def engine_memory_mib(destinations: int, *, is_wide: bool) -> int:
    """Return the memory of a sync's engine, in MiB.

    >>> [engine_memory_mib(count, is_wide=False) for count in (1, 2, 5)]
    [168, 168, 320]
    """
    return max(WIDE_MEMORY_MIB if is_wide else MEMORY_MIB, destinations * _LEAST_MEMORY_MIB)


class Engine:
    """One in-memory DuckDB that reads, writes and spills only in ``scratch``. Any thread may use it.

    It opens at the first connection. To open one takes DuckDB 30 ms of the processor, because it registers all of its
    functions; a connection to an open one takes none. So a try of a sync has one for all of its destinations.
    """

    def __init__(
        self, scratch: Path, *, destinations: int = 1, memory_mib: int | None = None, is_wide: bool = False
    ) -> None:
        """Prepare an engine; nothing is opened yet.

        Args:
            scratch: an existing folder on the worker's own disk; the caller removes it. No other engine spills there.
            destinations: how many are compared and delivered in parallel.
            memory_mib: of all connections together; ``None`` for what the destinations need.
            is_wide: whether rows have user properties. Then it has one thread, because each thread holds many rows that
                it cannot spill.
        """
        self._scratch = scratch
        self._memory_mib = memory_mib or engine_memory_mib(destinations, is_wide=is_wide)
        self._widened_mib = destinations * WIDE_MEMORY_MIB
        self._threads = 1 if is_wide else THREADS
        self._database: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection with temporary tables of its own, for one thread; it is closed at the end.

        No name in a query makes it read another file, send a request, or fetch an extension.

        Raises:
            EngineError: DuckDB raised in the body; where the disk failed, it names the worker's temporary folder.
        """
        try:
            with self._open().cursor() as connection:
                # A progress bar would be written into the task's log.
                connection.execute("SET enable_progress_bar = false")
                connection.execute(f"SET VARIABLE {_WIDENED} = {self._widened_mib}")
                yield connection
        except duckdb.Error as error:
            kind, reason = type(error).__name__, disk_reason(error)
            raise (disk_error(self._scratch, kind, reason) if reason else EngineError(kind)) from None

    def close(self) -> None:
        """Free the memory and the files of the engine."""
        if self._database is not None:
            self._database.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._database is None:
                if not is_readable(self._scratch):
                    raise disk_error(self._scratch, "OSError", "DuckDB cannot read files below a folder of this name")
                database = duckdb.connect(config=self._config())
                # DuckDB accepts these only after it has connected
                # (https://duckdb.org/docs/stable/operations_manual/securing_duckdb/overview).
                allowed = ", ".join(map(literal, folders(self._scratch)))
                database.execute(f"SET allowed_directories = [{allowed}]")
                database.execute("SET enable_external_access = false")
                self._database = database
            return self._database

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        return {
            "memory_limit": f"{self._memory_mib}MiB",
            "threads": self._threads,
            "temp_directory": str(self._scratch.absolute()),
            # The default; a message's position depends on it.
            "preserve_insertion_order": True,
            # The defaults; text_rows depends on them.
            "produce_arrow_string_view": False,
            "arrow_large_buffer_size": False,
            # The files are on a local disk, and a name may be written again.
            "enable_external_file_cache": False,
            # The wheel has all extensions that are needed; by default a path's scheme or suffix can fetch another one.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            # By default a query reads a Python variable where a table of that name does not exist.
            "python_enable_replacements": False,
        }


@contextmanager
def open_engine(
    scratch: Path, *, memory_mib: int | None = None, is_wide: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield the only connection to an engine of its own, see ``Engine``; both are closed at the end."""
    with closing(Engine(scratch, memory_mib=memory_mib, is_wide=is_wide)) as engine, engine.connect() as connection:
        yield connection


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

    A state or an abandoned plan may have user properties although this sync sends none. Each destination has the memory
    of one, because all of them may fold such rows at the same time.
    """
    threads, memory_mib = one_row(engine, f"SELECT current_setting('threads'), getvariable('{_WIDENED}')")
    if int(threads) > 1:
        engine.execute("SET threads = 1")
        engine.execute(f"SET memory_limit = '{memory_mib}MiB'")


def one_row(engine: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> tuple[Any, ...]:
    """Return the only row of a query that has exactly one."""
    row = engine.execute(query, parameters).fetchone()
    if row is None:
        msg = "the query returned no row"
        raise AssertionError(msg)
    return tuple(row)
