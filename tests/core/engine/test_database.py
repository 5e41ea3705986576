"""One engine serves all destinations of a try, each with a connection of its own."""

from contextlib import closing
from pathlib import Path

from airflow_provider_amplitude_segment.core.engine.database import WIDE_MEMORY_MIB, Engine, one_row, widen


def test_connections_of_one_engine_have_temporary_tables_of_their_own(tmp_path: Path) -> None:
    with closing(Engine(tmp_path)) as engine, engine.connect() as first, engine.connect() as second:
        first.execute("CREATE TEMP TABLE users AS SELECT 'ann' AS user_id")
        second.execute("CREATE TEMP TABLE users AS SELECT 'bob' AS user_id")

        assert one_row(first, "FROM users") == ("ann",)
        assert one_row(second, "FROM users") == ("bob",)


def test_an_engine_that_is_widened_has_the_memory_of_wide_rows_for_each_destination(tmp_path: Path) -> None:
    with closing(Engine(tmp_path, destinations=3)) as engine, engine.connect() as connection:
        widen(connection)

        assert one_row(connection, "SELECT current_setting('memory_limit')") == (
            f"{3 * WIDE_MEMORY_MIB / 1024:.1f} GiB",
        )
        assert one_row(connection, "SELECT current_setting('threads')") == (1,)
