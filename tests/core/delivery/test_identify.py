"""What is sent for a change, and what never differs or repeats in it."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.delivery.identify import identify_messages, message_id, plan_key
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.exceptions import EngineError

HAZARDS = ["007", "NULL", "a,b", "line\nbreak", " a ", "é", "e\u0301", 'q"q', "\\", "\x01", "\u2028", "😀", "</script>"]
KEY = plan_key("1", "c1", "dst", "p1")
TRAITS = ["Power Users (c1)", 'Quo"ted \\ {x} é (c1)', "日本 (c1)"]


def messages(tmp_path: Path, changes: list[tuple[str, str, bool]], positions: Ranges) -> dict[int, dict[str, Any]]:
    """Return the messages, read, by the position of their change."""
    path = tmp_path / "changes.parquet"
    with open_engine(tmp_path) as engine:
        engine.execute("CREATE TABLE changes (trait VARCHAR, user_id VARCHAR, value BOOLEAN)")
        engine.executemany("INSERT INTO changes VALUES ($1, $2, $3)", changes)
        engine.execute(f"COPY changes TO '{path}' (FORMAT parquet)")
        ready = identify_messages(engine, path, positions, key=KEY, timestamp="2026-11-23T13:56:49.152Z")
        found = list(ready)
    texts = {
        chunk.first + number: chunk.part(number, number + 1).joined().removesuffix(b",")
        for chunk in found
        for number in range(len(chunk))
    }
    assert all(len(texts[chunk.first + number]) <= chunk.longest for chunk in found for number in range(len(chunk)))
    return {position: json.loads(text) for position, text in texts.items()}


def test_every_message_is_the_json_segment_documents(tmp_path: Path) -> None:
    changes = [(trait, user, value) for trait in TRAITS for user in HAZARDS for value in (True, False)]

    sent = messages(tmp_path, changes, Ranges.of([(0, len(changes) - 1)]))

    assert list(sent) == list(range(len(changes)))
    for position, (trait, user, value) in enumerate(changes):
        assert sent[position] == {
            "type": "identify",
            "userId": user,
            "traits": {trait: value},
            "timestamp": "2026-11-23T13:56:49.152Z",
            "messageId": f"{KEY}-{position}",
        }


def test_only_the_asked_positions_are_told_in_their_order(tmp_path: Path) -> None:
    changes = [("t", f"user-{n:05d}", True) for n in range(10_000)]
    asked = Ranges.of([(3, 5), (2040, 2060), (9999, 9999)])

    sent = messages(tmp_path, changes, asked)

    assert list(sent) == [3, 4, 5, *range(2040, 2061), 9999]
    assert all(message["userId"] == f"user-{position:05d}" for position, message in sent.items())


@settings(max_examples=300)
@given(st.tuples(*[st.text(max_size=12)] * 4), st.tuples(*[st.text(max_size=12)] * 4), st.integers(0), st.integers(0))
def test_message_ids_are_the_same_only_for_one_position_of_one_plan(
    one: tuple[str, str, str, str], other: tuple[str, str, str, str], position: int, other_position: int
) -> None:
    """Names cannot run into each other, nor into the position."""
    ids = [message_id(plan_key(*one), position), message_id(plan_key(*other), other_position)]

    assert (ids[0] == ids[1]) == ((one, position) == (other, other_position))


def test_message_ids_differ_between_plans_and_destinations_and_are_short_enough() -> None:
    keys = [
        plan_key("1", "c1", "dst-a", "p1"),
        plan_key("1", "c1", "dst-b", "p1"),
        plan_key("1", "c1", "dst-a", "p2"),
        plan_key("1", "c2", "dst-a", "p1"),
        plan_key("2", "c1", "dst-a", "p1"),
    ]

    ids = {message_id(key, 10**9) for key in keys}

    assert len(ids) == len(keys)
    assert all(len(one) < 100 for one in ids)


class OtherRows:
    """An engine that returns the rows of a query in another order, or not all."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, rows: str) -> None:
        self._engine = engine
        self._rows = rows

    def execute(self, query: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        return self._engine.execute(query, parameters)

    def sql(self, query: str, params: object) -> duckdb.DuckDBPyRelation:
        return self._engine.sql(f"SELECT message FROM ({query}) rows(message) {self._rows}", params=params)


@pytest.mark.parametrize(
    ("rows", "kind"),
    [("ORDER BY message DESC", "RowOrder"), ("LIMIT 2", "RowCount"), ("OFFSET 1", "RowOrder"), ("LIMIT 0", "RowCount")],
)
def test_messages_that_come_out_of_order_or_not_all_are_not_told(tmp_path: Path, rows: str, kind: str) -> None:
    """Otherwise the state would have users that were not sent."""
    path = tmp_path / "changes.parquet"
    with open_engine(tmp_path) as engine:
        engine.execute(f"COPY (SELECT 't' AS trait, 'u' AS user_id, true AS value FROM range(3)) TO '{path}'")
        other: Any = OtherRows(engine, rows)
        with pytest.raises(EngineError, match=kind):
            list(identify_messages(other, path, Ranges.of([(0, 2)]), key=KEY, timestamp=""))


def test_a_query_returns_no_more_bytes_than_the_longest_message_lets_it(tmp_path: Path) -> None:
    """A plan of long messages takes as little memory as one of short ones."""
    path = tmp_path / "changes.parquet"
    with open_engine(tmp_path) as engine:
        engine.execute(f"""COPY (SELECT 't' AS trait, repeat('u', 3000) || i AS user_id, true AS value
                                 FROM range(12000) rows(i)) TO '{path}'""")
        ready = identify_messages(engine, path, Ranges.of([(0, 11_999)]), key=KEY, timestamp="")
        sizes = [len(chunk.text) for chunk in ready]

    assert len(sizes) > 1
    assert max(sizes) < 17_000_000


def test_some_long_user_ids_make_no_more_queries_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "changes.parquet"
    duckdb.sql(
        f"""COPY (SELECT 't' AS trait, repeat('u', if(i BETWEEN 4096 AND 8191, 4000, 20)) || i AS user_id, true AS value
                  FROM range(80000) rows(i)) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 40960)"""
    )
    with open_engine(tmp_path) as engine:
        ready = identify_messages(engine, path, Ranges.of([(0, 79_999)]), key=KEY, timestamp="")
        first = [chunk.first for chunk in ready]

    assert first == [0, 6144, 40_960]
