"""The DuckDB engine: what reads, compares and encodes users in bounded memory.

Every query of the core runs in a connection made here, so that memory, threads and spilling are set in one place.
User IDs reach a query as files or bound parameters only; an engine's error is never passed on, as it may quote them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_MIB = 192
"""What DuckDB may hold in memory; the rest is spilled. 10,000,000 IDs went through in this."""

THREADS = 2


def open_engine(scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a new in-memory engine that spills into a folder of its own below ``scratch``.

    Args:
        scratch: an existing folder on the worker's own disk; the caller removes it.
    """
    spill = scratch / "spill"
    spill.mkdir(exist_ok=True)
    engine = duckdb.connect(
        config={"memory_limit": f"{MEMORY_MIB}MiB", "threads": THREADS, "temp_directory": str(spill)}
    )
    # A progress bar would be written into the task's log.
    engine.execute("SET enable_progress_bar = false")
    return engine


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
