"""What identifies a run: the Airflow, the DAG run and the task, over tries and on every worker (ADR 0017)."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fakes.task_instance import FakeTaskInstance

from airflow_provider_amplitude_segment.task.installation import without_login
from airflow_provider_amplitude_segment.task.run import run_of

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Run

ADDRESS = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
    if version("apache-airflow").startswith("2.")
    else "AIRFLOW__CORE__EXECUTION_API_SERVER_URL"
)
BLUE, GREEN = (
    ("postgresql://airflow:secret-word@blue/airflow", "postgresql://airflow:secret-word@green/airflow")
    if ADDRESS.endswith("CONN")
    else ("http://blue:8080/execution/", "http://green:8080/execution/")
)
STARTED = datetime(2026, 11, 24, 3, 0, 0, 123456, tzinfo=UTC)


def run(try_number: int = 1, map_index: int = -1, **dag_run: Any) -> Run:
    ti = FakeTaskInstance("nightly", try_number, map_index)
    return run_of({"ti": ti, "dag_run": SimpleNamespace(start_date=STARTED, clear_number=0, **dag_run)})


def test_each_try_of_a_task_has_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, BLUE)
    assert run(1).key == run(2).key
    assert (run(1).started_at, run(1).clear_number) == (f"{STARTED.timestamp():.6f}", 0)


def test_two_airflows_have_two_keys_for_the_same_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, BLUE)
    blue = run()
    monkeypatch.setenv(ADDRESS, GREEN)
    assert run().key != blue.key
    assert run().dag_run != blue.dag_run
    assert run().installation != blue.installation
    assert run().task == blue.task


def test_two_airflows_of_one_address_have_two_keys_when_each_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, BLUE)
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__INSTALLATION", "blue")
    blue = run()
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__INSTALLATION", "green")
    assert run().key != blue.key
    assert (blue.airflow, run().airflow) == ("blue", "green")
    assert "in Airflow 'green' on host" in run().label


def test_mapped_tasks_have_keys_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, BLUE)
    assert len({run(map_index=index).key for index in (-1, 0, 1)}) == 3
    assert run(map_index=0).dag_run == run(map_index=1).dag_run


def test_a_key_and_a_label_show_no_login_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, BLUE)
    assert "secret-word" not in repr(run())


# Airflow 3 hides the database from a task.
if ADDRESS.endswith("CONN"):

    @pytest.mark.parametrize(
        ("option", "blue", "green"),
        [
            ("SQL_ALCHEMY_CONN", "postgresql:///airflow?host=blue", "postgresql:///airflow?host=green"),
            ("SQL_ALCHEMY_SCHEMA", "blue", "green"),
        ],
    )
    def test_two_airflows_whose_databases_differ_in_one_detail_have_two_keys(
        option: str, blue: str, green: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(ADDRESS, BLUE)
        monkeypatch.setenv(f"AIRFLOW__DATABASE__{option}", blue)
        key = run().key
        monkeypatch.setenv(f"AIRFLOW__DATABASE__{option}", green)
        assert run().key != key


LOGIN = "user=airflow&password=secret@word"


@pytest.mark.parametrize(
    ("blue", "green"),
    [
        ("postgresql:///airflow?host=db-blue", "postgresql:///airflow?host=db-green"),
        ("postgresql:///airflow?host=/run/blue", "postgresql:///airflow?host=/run/green"),
        ("postgresql:///airflow?host=db&port=5432", "postgresql:///airflow?host=db&port=5433"),
        ("postgresql:///airflow?host=a:1&host=b:1", "postgresql:///airflow?host=a:1&host=c:1"),
        ("postgresql://?service=blue", "postgresql://?service=green"),
        ("postgresql://db/airflow?options=-csearch_path=blue", "postgresql://db/airflow?options=-csearch_path=green"),
        ("mysql:///airflow?unix_socket=/run/blue.sock", "mysql:///airflow?unix_socket=/run/green.sock"),
        (f"postgresql://blue/airflow?{LOGIN}", f"postgresql://green/airflow?{LOGIN}"),
        (f"postgresql://blue:5432/airflow?{LOGIN}", f"postgresql://green:5432/airflow?{LOGIN}"),
        ("postgresql://u:secret@word@blue/a?x=y@z", "postgresql://u:secret@word@green/a?x=y@z"),
        ("postgresql://u:1?secret@word@[::1]:5432/a", "postgresql://u:1?secret@word@[::2]:5432/a"),
        ("sqlite:////opt/blue/airflow.db", "sqlite:////opt/green/airflow.db"),
    ],
)
def test_two_databases_are_told_apart_by_whatever_part_of_a_url_names_them(blue: str, green: str) -> None:
    assert without_login(blue) != without_login(green)
    for hidden in ("secret", "word"):
        assert hidden not in without_login(blue)


@pytest.mark.parametrize(
    "same",
    [
        "postgresql+psycopg2://airflow:secret-word@db/airflow",
        "postgresql+asyncpg://new:1?secret/@word@db/airflow",
        "postgresql://airflow:secret-word@db/airflow?sslmode=require&connect_timeout=9&passfile=/etc/pass@word",
        f"postgresql://db/airflow/?{LOGIN}&options=-cstatement_timeout=9",
    ],
)
def test_a_database_stays_the_same_whoever_logs_in_and_however_it_is_set(same: str) -> None:
    assert without_login(same) == "postgresql://db/airflow"
