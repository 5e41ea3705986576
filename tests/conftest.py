"""Settings that must stand before Airflow is first imported, and what all tests share."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from fakes.s3_server import S3Server

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__DAGS_FOLDER", f"{os.environ['AIRFLOW_HOME']}/dags")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what a real Airflow is started for at the end: it goes on working until the last test is over."""
    items.sort(key=lambda item: "cluster" in item.path.parts)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make Airflow's metadata database in ``AIRFLOW_HOME``, once: what ``dag.test()`` needs."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)


@pytest.fixture
def forgetful_airflow(airflow_db: None) -> None:  # noqa: ARG001 - there must be one
    """An Airflow that remembers no sync of another test: each test has a ledger of its own."""
    from airflow.utils.session import create_session  # noqa: PLC0415 - after the settings above
    from sqlalchemy import text  # noqa: PLC0415

    with create_session() as session:
        session.execute(text("DELETE FROM xcom"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Run moto's S3 in a process of its own."""
    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    """Return the name of an empty bucket that no other test has."""
    name = f"ledger-{secrets.token_hex(4)}"
    s3_server.make_bucket(name)
    s3_server.requests()
    return name
