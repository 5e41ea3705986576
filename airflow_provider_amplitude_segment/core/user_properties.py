"""User properties of Amplitude that go along as traits, as columns of Parquet files and the engine's expressions.

Each property is a column of its own, so that it is compared without being parsed. In the membership it holds the text;
in the changes what to send, and in the state what was told:

    changes   ``=<text>`` send it, ``-`` send null, NULL say nothing
    state     ``=<text>`` told for certain, ``?`` Segment may hold something, NULL it holds nothing of ours

In the state they stand in rows of their own, one a user, under the blank trait key, which no cohort has: a trait that
comes of a property belongs to the user, whatever the cohort is called. A trait is taken back only where it was, or may
have been, told before, as it may be somebody else's. Values are text: Amplitude's file is CSV and does not say more.
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
"""The trait key of the rows that hold a user's properties."""

MAX_BYTES = 4_000
"""What a user's properties may take as JSON.

Far below Segment's 32 KB a message, so that the membership always fits; and the engine holds thousands of such rows in
memory, several times.
"""

_PREFIX = "p_"


def check_names(names: Iterable[str], trait: str) -> None:
    """Refuse a property that has the name of the cohort's own trait.

    Raises:
        SettingError: it has; nothing was sent.
    """
    if trait in names:
        takes = "names of properties that differ from the cohort's trait, which trait_name sets"
        raise SettingError("user_properties", f"{trait!r} is the trait that tells the membership", takes)


def group_rows(names: Sequence[str]) -> int:
    """Return how many rows with properties a file's group has, so that it takes no more memory than another file's.

    >>> group_rows([]), group_rows(["plan"]), group_rows(["plan"] * 500)
    (122880, 61440, 2048)
    """
    return max(2_048, GROUP_ROWS // (1 + len(names)) // 2_048 * 2_048)


def column(name: str) -> str:
    """Return a property's column. The engine takes ``Plan`` and ``plan`` for one name, so it is spelled in numbers.

    >>> column("plan")
    'p_706c616e'
    """
    return _PREFIX + name.encode().hex()


def names_in(engine: duckdb.DuckDBPyConnection, file: Path | None) -> tuple[str, ...]:
    """Return the names of the properties that a Parquet file has columns for, sorted."""
    if file is None:
        return ()
    found = engine.execute(f"SELECT name FROM {parquet_columns(file)}").fetchall()
    columns = (name for (name,) in found if name.startswith(_PREFIX))
    return tuple(sorted(bytes.fromhex(name.removeprefix(_PREFIX)).decode() for name in columns))


def listed(names: Iterable[str], prefix: str = "") -> str:
    """Return the columns of properties, each behind a comma.

    >>> listed(["plan"], "known.")
    ', known.p_706c616e'
    """
    return "".join(f", {prefix}{column(name)}" for name in names)


def encoded_bytes(names: Iterable[str]) -> str:
    """Return how many bytes a user's texts take as JSON, with their names."""
    texts = (f"coalesce(strlen(to_json({column(name)})) + {len(_key(name).encode())}, 0)" for name in names)
    return " + ".join(texts)


def moved(now: str, told: str) -> str:
    """Return whether a property is to be told: its text is another than told for certain, or it is to be taken back."""
    return f"(CASE WHEN {now} IS NULL THEN {told} IS NOT NULL ELSE {told} IS DISTINCT FROM '=' || {now} END)"


def to_send(name: str, now: str, told: str) -> str:
    """Return what to send of a property, in a column of its name."""
    return f"CASE WHEN {now} IS NOT NULL THEN '=' || {now} WHEN {told} IS NOT NULL THEN '-' END AS {column(name)}"


def folded(name: str, told: str, sent: str, acked: str) -> str:
    """Return what is told of a property after a change, in a column of its name.

    Whatever was sent and not acknowledged is not certain until a message with this name is.
    """
    return (
        f"CASE WHEN {sent} IS NULL THEN {told} WHEN NOT {acked} THEN '?' WHEN {sent} <> '-' THEN {sent} END "
        f"AS {column(name)}"
    )


def any_of(names: Sequence[str], prefix: str = "") -> str:
    """Return whether any of the columns holds something."""
    return f"coalesce({', '.join(f'{prefix}{column(name)}' for name in names)}) IS NOT NULL"


def members_of_object(names: Iterable[str]) -> str:
    """Return the text of what is to send, each as a member of a JSON object behind a comma."""
    parts = (
        f"CASE WHEN {column(name)} = '-' THEN {literal(_key(name) + 'null')} "
        f"WHEN {column(name)} IS NOT NULL THEN concat({literal(_key(name))}, to_json(substr({column(name)}, 2))) END"
        for name in names
    )
    return f"concat({', '.join(parts)})"


def _key(name: str) -> str:
    return f",{json.dumps(name, ensure_ascii=False)}:"
