"""Send Amplitude's user properties as traits: their columns in Parquet files, and the SQL expressions for them.

Each property has a column of its own, so that DuckDB compares it without parsing. The membership holds the text, the
changes what to send, and the state the value last delivered:

    changes   ``=<text>`` send the text, ``-`` send null, NULL send nothing
    state     ``=<text>`` acknowledged, ``?`` in doubt, NULL nothing was delivered

The state holds them in rows of their own, one per user, under the blank trait key, which no cohort has. The reason is
that a property's trait belongs to the user, not to a cohort's name. A trait is set to null only if this package
delivered it, or may have, because another source may have set it. Values are text, because Amplitude's CSV has no
types.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.engine_file import GROUP_ROWS, literal, parquet_columns
from airflow_provider_amplitude_segment.exceptions import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import duckdb

KEY = ""
"""The trait key of the rows with users' properties."""

MAX_BYTES = 4_000
"""The most bytes that a user's properties take as JSON.

This is far below Segment's 32 KB per message, so that the cohort's trait always fits. DuckDB also holds thousands of
these rows in memory, several times.
"""

_PREFIX = "p_"


def check_names(names: Iterable[str], trait: str) -> None:
    """Refuse a property that is named like the cohort's own trait.

    Raises:
        SettingError: a property has that name; nothing was sent.
    """
    if trait in names:
        takes = "names of properties that differ from the cohort's trait, which trait_name sets"
        raise SettingError("user_properties", f"{trait!r} is the trait of the cohort", takes)


def group_rows(names: Sequence[str]) -> int:
    """Return the rows per row group of a file with properties, so that a group takes no more memory than without them.

    >>> group_rows([]), group_rows(["plan"]), group_rows(["plan"] * 500)
    (40960, 20480, 2048)
    """
    return max(2_048, GROUP_ROWS // (1 + len(names)) // 2_048 * 2_048)


def column(name: str) -> str:
    """Return a property's column, in hexadecimal because DuckDB does not distinguish ``Plan`` from ``plan``.

    >>> column("plan")
    'p_706c616e'
    """
    return _PREFIX + name.encode().hex()


def names_in(engine: duckdb.DuckDBPyConnection, file: Path | None) -> tuple[str, ...]:
    """Return the sorted names of the properties that a Parquet file has columns for."""
    if file is None:
        return ()
    found = engine.execute(f"SELECT name FROM {parquet_columns(file)}").fetchall()
    columns = (name for (name,) in found if name.startswith(_PREFIX))
    return tuple(sorted(bytes.fromhex(name.removeprefix(_PREFIX)).decode() for name in columns))


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Return the columns of properties, each after a comma.

    >>> listed(["plan"], "known.")
    ', known.p_706c616e'
    """
    return "".join(f", {prefix}{column(name)}" for name in names)


def encoded_bytes(names: Iterable[str]) -> str:
    """Return the expression of the bytes that a user's properties take as JSON, with their names."""
    texts = (f"coalesce(strlen(to_json({column(name)})) + {len(_key(name).encode())}, 0)" for name in names)
    return " + ".join(texts)


def has_changed(now: str, delivered: str) -> str:
    """Return the condition that a property is sent: its value differs from the one delivered, or is gone."""
    return f"(CASE WHEN {now} IS NULL THEN {delivered} IS NOT NULL ELSE {delivered} IS DISTINCT FROM '=' || {now} END)"


def to_send(name: str, now: str, delivered: str) -> str:
    """Return the column of a property's changes: what to send."""
    return f"CASE WHEN {now} IS NOT NULL THEN '=' || {now} WHEN {delivered} IS NOT NULL THEN '-' END AS {column(name)}"


def folded(name: str, delivered: str, sent: str, acked: str) -> str:
    """Return the column of a property's state after a change.

    A value that was sent and not acknowledged stays in doubt until a later message with the property is acknowledged.
    """
    return (
        f"CASE WHEN {sent} IS NULL THEN {delivered} WHEN NOT {acked} THEN '?' WHEN {sent} <> '-' THEN {sent} END "
        f"AS {column(name)}"
    )


def any_of(names: Sequence[str], prefix: str = "") -> str:
    """Return the condition that any of the columns has a value."""
    return f"coalesce({', '.join(f'{prefix}{column(name)}' for name in names)}) IS NOT NULL"


def members_of_object(names: Iterable[str]) -> str:
    """Return the expression of the changes to send, each as a member of a JSON object after a comma."""
    parts = (
        f"CASE WHEN {column(name)} = '-' THEN {literal(_key(name) + 'null')} "
        f"WHEN {column(name)} IS NOT NULL THEN concat({literal(_key(name))}, to_json(substr({column(name)}, 2))) END"
        for name in names
    )
    return f"concat({', '.join(parts)})"


def _key(name: str) -> str:
    return f",{json.dumps(name, ensure_ascii=False)}:"
