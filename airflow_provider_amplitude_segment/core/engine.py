"""The DuckDB engine: what reads, compares and encodes users in bounded memory.

Every query of the core runs in a connection made here, so that memory, threads and spilling are set in one place.
User IDs reach a query as files or bound parameters only; an engine's error is never passed on, as it may quote them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY_MIB = 168
"""What DuckDB may hold in memory; the rest is spilled. 10,000,000 IDs went through in this."""

WIDE_MEMORY_MIB = 384
"""The same where rows have user properties."""

THREADS = 2


def engine_memory_mib(*, is_wide: bool) -> int:
    """Return what an engine may hold in memory, in MiB."""
    return WIDE_MEMORY_MIB if is_wide else MEMORY_MIB


@contextmanager
def open_engine(
    scratch: Path, *, memory_mib: int | None = None, is_wide: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a new in-memory engine that spills into a folder of its own below ``scratch``, and close it on leaving.

    Args:
        scratch: an existing folder on the worker's own disk; the caller removes it.
        memory_mib: what it may hold in memory; ``None`` for the usual.
        is_wide: its rows have user properties: one thread, as each holds many rows that it cannot spill.

    Raises:
        EngineError: whatever DuckDB raises in the body and nobody there understands.
    """
    spill = scratch / "spill"
    spill.mkdir(exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mib or engine_memory_mib(is_wide=is_wide)}MiB",
        "threads": 1 if is_wide else THREADS,
        "temp_directory": str(spill),
        # Its default; a message's position rests on it.
        "preserve_insertion_order": True,
    }
    try:
        with duckdb.connect(config=config) as engine:
            # A progress bar would be written into the task's log.
            engine.execute("SET enable_progress_bar = false")
            yield engine
    except duckdb.Error as error:
        raise EngineError(type(error).__name__) from None


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


def literal(text: object) -> str:
    """Quote a path or a column name's text as an SQL string.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + str(text).replace("'", "''") + "'"
