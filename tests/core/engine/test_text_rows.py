"""A column of text comes as buffers, and what DuckDB raises meanwhile comes as its own error."""

from pathlib import Path

import duckdb
import pytest

from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.text_rows import text_rows
from airflow_provider_amplitude_segment.exceptions import EngineError

ROWS = 150_000
TEXTS = ["", "é", "😀", "a,b\n"]


def test_all_rows_come_in_their_order_and_outlive_the_engine(tmp_path: Path) -> None:
    with open_engine(tmp_path) as engine:
        query = "SELECT $texts[1 + i % 4] || i FROM range($rows) rows(i)"
        parts = list(text_rows(engine, query, {"texts": TEXTS, "rows": ROWS}))

    assert len(parts) > 1
    texts = [
        part.text[part.offsets[number] : part.offsets[number + 1]].decode()
        for part in parts
        for number in range(len(part.offsets) - 1)
    ]
    assert texts == [f"{TEXTS[number % 4]}{number}" for number in range(ROWS)]


def test_a_query_without_rows_has_none(tmp_path: Path) -> None:
    with open_engine(tmp_path) as engine:
        parts = list(text_rows(engine, "SELECT 'x' || i FROM range(10) rows(i) WHERE i > $least", {"least": 99}))

    assert [len(part.offsets) - 1 for part in parts] in ([], [0])


@pytest.mark.parametrize("at", [0, ROWS - 1], ids=["the first row", "the last row"])
def test_an_error_in_the_middle_is_the_engines_and_names_no_value(tmp_path: Path, at: int) -> None:
    query = "SELECT CASE WHEN i = $at THEN error('user-' || i) ELSE i::VARCHAR END FROM range(150000) rows(i)"
    with pytest.raises(EngineError) as failed, open_engine(tmp_path) as engine:
        list(text_rows(engine, query, {"at": at}))

    assert "user-" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_column_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with open_engine(tmp_path) as engine, pytest.raises(duckdb.NotSupportedError):
        list(text_rows(engine, "SELECT i FROM range($rows) rows(i)", {"rows": 3}))
