"""The rows of one user: found to the last character, and fast in a long list of rejected users."""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.engine_file import write_csv
from airflow_provider_amplitude_segment.core.maintenance.user_rows import RejectedRow, rejected_rows

HOSTILE = [
    "line\nbreak",
    "cr\r\nlf",
    "cr\ralone",
    "'single' \"double\" `tick`",
    '"',
    ",",
    "x" * 30_000,
    "🦩 flamingo",
    " blanks ",
    "#comment",
    "NULL",
    "\\N",
    "user_id",
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(tmp_path) as engine:
        yield engine


def listed(engine: duckdb.DuckDBPyConnection, file: Path, rows: str) -> None:
    """Write a list of rejected users as a sync does."""
    engine.execute(write_csv(f"SELECT user_id, trait, value, status, reason FROM ({rows})", file))


def test_a_rejected_user_is_found_to_the_last_character(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    engine.execute("CREATE TABLE users AS SELECT unnest($1) AS user_id", [HOSTILE])
    file = tmp_path / "rejected"
    rows = "SELECT user_id, unnest(['A', 'B (c1)']) AS trait, true AS value FROM users"
    listed(
        engine, file, f"SELECT *, if(trait = 'A', 400, NULL) AS status, user_id || ' is bad' AS reason FROM ({rows})"
    )

    for user_id in HOSTILE:
        found = rejected_rows(engine, file, user_id)
        assert found == {
            "A": RejectedRow(400, f"{user_id} is bad"),
            "B (c1)": RejectedRow(None, f"{user_id} is bad"),
        }
    assert rejected_rows(engine, file, "line") == {}


def test_a_list_that_a_person_changed_keeps_the_rows_that_can_be_read(
    engine: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    file = tmp_path / "rejected"
    file.write_text("trait,user_id,value,status,reason\nA,ann,true,400,bad\nA,bob\nnote of mine\nA,eve,true,,\n")

    assert rejected_rows(engine, file, "ann") == {"A": RejectedRow(400, "bad")}
    assert rejected_rows(engine, file, "eve") == {"A": RejectedRow(None, "")}
    assert rejected_rows(engine, file, "bob") == {}


def test_three_lists_of_400000_users_take_less_than_a_second(engine: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    file = tmp_path / "rejected"
    rows = "SELECT 'user' || i || '@example.com' AS user_id, 'A' AS trait, true AS value, 400 AS status, i AS reason"
    listed(engine, file, f"{rows} FROM range(400000) numbers(i)")
    begun = time.process_time()

    for _ in range(3):
        assert rejected_rows(engine, file, "user399999@example.com") == {"A": RejectedRow(400, "399999")}

    assert time.process_time() - begun < 1
