"""User properties of Amplitude that go along as traits, as the engine's expressions.

Everywhere they are one JSON object of texts by name: a member's in the membership, those last told in the state, and
those to send in the changes, where ``null`` takes a trait back that Amplitude has no value for any more. A property
without a value is left out; a trait is taken back only where it was, or may have been, told before, as it may be
somebody else's. Values are text: Amplitude's file is CSV and does not say more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine import literal, one_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

COLUMN = "properties"
"""In the Parquet files that have any; a file of a sync without properties has no such column."""


def has_properties(engine: duckdb.DuckDBPyConnection, file: Path | None) -> bool:
    """Tell whether a Parquet file has properties; one that an earlier version wrote has none."""
    if file is None:
        return False
    query = f"SELECT count(*) FROM parquet_schema({literal(file)}) WHERE name = {literal(COLUMN)}"
    return bool(one_row(engine, query)[0])


def traits_with(engine: duckdb.DuckDBPyConnection, file: Path | None) -> frozenset[str]:
    """Return the trait keys along with which a file of pairs has properties."""
    if file is None or not has_properties(engine, file):
        return frozenset()
    query = f"SELECT DISTINCT trait FROM read_parquet({literal(file)}) WHERE {COLUMN} IS NOT NULL"
    return frozenset(trait for (trait,) in engine.execute(query).fetchall())


def pointer(name: str) -> str:
    """Return where a property is in the object: a JSON pointer, RFC 6901, as an SQL string.

    >>> pointer("a/b~c")
    "'/a~1b~0c'"
    """
    return literal("/" + name.replace("~", "~0").replace("/", "~1"))


def of_columns(columns: Mapping[str, str]) -> str:
    """Return the object of several rows of one user: of each property the greatest value that is not empty.

    Amplitude's file repeats a user ID after users were merged, in no order it documents.

    Args:
        columns: expression of each property's text, by its name.
    """
    texts = ", ".join(f"{literal(name)}, max(nullif({column}, ''))" for name, column in columns.items())
    return f"{_without_nulls(f'json_object({texts})')}::VARCHAR"


def moved(names: Sequence[str], now: str, told: str) -> str:
    """Return whether any property has another value than was told."""
    differs = (
        f"json_extract_string({now}, {pointer(name)}) IS DISTINCT FROM json_extract_string({told}, {pointer(name)})"
        for name in names
    )
    # Nearly all are the same text, which is compared much faster.
    return f"CASE WHEN {now} = {told} THEN false ELSE {' OR '.join(differs)} END"


def to_send(names: Sequence[str], now: str, told: str) -> str:
    """Return the object to send: every property that has a value, and ``null`` for one that had, or may have had.

    SQL's NULL where that is empty.
    """
    members = ", ".join(
        f"CASE WHEN json_exists({now}, {at}) THEN concat({key}, json_extract({now}, {at})) "
        f"WHEN json_exists({told}, {at}) THEN concat({key}, 'null') END"
        for at, key in ((pointer(name), literal(f"{json.dumps(name, ensure_ascii=False)}:")) for name in names)
    )
    return f"nullif(concat('{{', concat_ws(',', {members}), '}}'), '{{}}')"


def merged(objects: Sequence[str]) -> str:
    """Return one object of several, any of which may be NULL; of one name the last one's value stays.

    >>> merged(["known"])
    'known'
    """
    first, *others = objects
    for other in others:
        first = f"json_merge_patch(coalesce({first}, '{{}}'), coalesce({other}, '{{}}'))::VARCHAR"
    return first


def folded(told: str, sent: str, acked: str) -> str:
    """Return what is told after a change: of an acknowledged one what was sent, of any other what may be.

    A name stays where Segment may hold a value under it, so that it can be taken back.
    """
    return f"""CASE WHEN {sent} IS NULL THEN {told}
                    WHEN {acked} THEN json_merge_patch(coalesce({told}, '{{}}'), {sent})::VARCHAR
                    ELSE json_merge_patch({sent}, coalesce({told}, '{{}}'))::VARCHAR END"""


def _without_nulls(object_: str) -> str:
    # RFC 7396: a null in the patch takes the name away.
    return f"json_merge_patch('{{}}', {object_})"
