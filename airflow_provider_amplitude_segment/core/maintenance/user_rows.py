"""The rows of one user in the files of a ledger.

The user ID is a bound parameter, so each of its characters counts and none is read as anything else.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from airflow_provider_amplitude_segment.core.engine.database import disk_reason
from airflow_provider_amplitude_segment.core.engine.engine_file import csv_rows, parquet_rows
from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_REJECTED_COLUMNS = ("trait", "status", "reason")

_MAX_REJECTED_BYTES = 1_000_000
"""Of a line; a message, and so a user ID, has at most 32 kB."""


@dataclass(frozen=True, slots=True)
class StateRow:
    """A trait of the user in a state; ``core.ledger.state`` has the fields."""

    trait: str
    delivered: bool | None
    in_doubt: bool
    rejections: int


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change of the user in a plan: its position, the trait key and the value to send."""

    position: int
    trait: str
    value: bool


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """Why a change was rejected: the HTTP status, ``None`` where it was not sent, and the reason."""

    status: int | None
    reason: str = field(repr=False)


def state_rows(engine: duckdb.DuckDBPyConnection, state: Path | None, user_id: str) -> list[StateRow]:
    """Return a user's rows of a state, by trait key."""
    rows = engine.execute(
        f"SELECT trait, delivered, in_doubt, rejections FROM ({pairs_query(state)}) WHERE user_id = $1 ORDER BY trait",
        [user_id],
    )
    return [
        StateRow(trait, delivered, bool(in_doubt), int(rejections or 0))
        for trait, delivered, in_doubt, rejections in rows.fetchall()
    ]


def change_rows(engine: duckdb.DuckDBPyConnection, changes: Path, user_id: str) -> list[ChangeRow]:
    """Return a user's rows of a plan's changes, by position."""
    rows = engine.execute(
        f"SELECT file_row_number, trait, value FROM {parquet_rows(changes, numbered=True)} WHERE user_id = $1 "
        "ORDER BY file_row_number",
        [user_id],
    )
    return [ChangeRow(int(position), trait, bool(value)) for position, trait, value in rows.fetchall()]


def rejected_rows(engine: duckdb.DuckDBPyConnection, file: Path, user_id: str) -> dict[str, RejectedRow]:
    """Return a user's rows of a list of rejected users, by trait key.

    The engine reads the list, because a list of 400,000 takes Python's reader ten times as long. Where the engine
    refuses it, a person changed it, and Python's reader takes the rows that it can.

    Raises:
        csv.Error, UnicodeDecodeError, KeyError: a person changed the list, so that it cannot be read.
    """
    with on_scratch(file), file.open(encoding="utf-8", newline="") as lines:
        names = next(csv.reader(lines), [])
    listed = csv_rows(file, [f"c{number}" for number in range(len(names))], _MAX_REJECTED_BYTES)
    try:
        if {"user_id", *_REJECTED_COLUMNS} <= set(names):
            columns = ", ".join(f"c{names.index(name)}" for name in _REJECTED_COLUMNS)
            query = f"SELECT {columns} FROM {listed} WHERE c{names.index('user_id')} = $1"
            return _by_trait(engine.execute(query, [user_id]).fetchall())
    except duckdb.Error as error:
        if disk_reason(error):
            raise
    with on_scratch(file), file.open(encoding="utf-8", newline="") as lines:
        return _by_trait(
            [row[name] for name in _REJECTED_COLUMNS]
            for row in csv.DictReader(lines)
            if row.get("user_id") == user_id and None not in row.values()
        )


def _by_trait(rows: Iterable[Sequence[str | None]]) -> dict[str, RejectedRow]:
    return {
        trait or "": RejectedRow(int(status) if status and status.isdecimal() else None, reason or "")
        for trait, status, reason in rows
    }


def rows_after(rows: Iterable[StateRow], changes: Iterable[ChangeRow], outcomes: Mapping[int, str]) -> list[StateRow]:
    """Return a user's state after a plan that is not committed, as ``core.ledger.state.fold`` folds all users.

    Args:
        rows: of the state before.
        changes: of the plan.
        outcomes: by position ``acknowledged`` or ``rejected``; any other position is in doubt.

    >>> before = [StateRow("a", True, False, 0)]
    >>> after = rows_after(before, [ChangeRow(0, "a", False), ChangeRow(1, "b", True)], {1: "rejected"})
    >>> [(row.trait, row.delivered, row.in_doubt, row.rejections) for row in after]
    [('a', True, True, 0), ('b', None, True, 1)]
    """
    after = {row.trait: row for row in rows}
    for change in changes:
        before = after.get(change.trait, StateRow(change.trait, None, in_doubt=False, rejections=0))
        outcome = outcomes.get(change.position)
        if outcome == "acknowledged":
            after[change.trait] = StateRow(change.trait, change.value, in_doubt=False, rejections=0)
        else:
            rejections = before.rejections + (outcome == "rejected")
            after[change.trait] = StateRow(change.trait, before.delivered, in_doubt=True, rejections=rejections)
    return [after[trait] for trait in sorted(after)]
