"""Settings that must stand before Airflow is first imported, and what all tests share."""

import base64
import fcntl
import os
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from fakes.s3_server import S3Server
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A worker of pytest-xdist inherits the environment of its parent, and needs a home and a database of its own.
if "PYTEST_XDIST_WORKER" in os.environ or "AIRFLOW_HOME" not in os.environ:
    MADE_HOME: str | None = tempfile.mkdtemp(prefix="airflow-home-")
    os.environ["AIRFLOW_HOME"] = str(MADE_HOME)
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = f"{MADE_HOME}/dags"
else:
    MADE_HOME = None
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
# One key for all processes of a run: each reads what another encrypted, for example the trigger of a watched asset.
os.environ.setdefault("AIRFLOW__CORE__FERNET_KEY", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())

# Doctests are looked for in every module; these need Airflow 3.
if version("apache-airflow").startswith("2."):
    collect_ignore = ["cluster/watcher_dags/forty_watchers.py", "fakes/auth_manager.py", "fakes/metadata_rows.py"]


def pytest_unconfigure() -> None:
    """Remove the home that this process made; a worker of pytest-xdist ends without Python's own end."""
    if MADE_HOME is not None:
        shutil.rmtree(MADE_HOME, ignore_errors=True)


class OneAirflow(LoadScopeScheduling):
    """Gives each test to the next free worker, but all tests of a real Airflow to one.

    pytest-xdist's own groups have no effect with pytest 9.2 (it sets ``_nodeid``, which is not there any more).
    """

    def _split_scope(self, nodeid: str) -> str:
        return "cluster" if "/cluster/" in nodeid else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneAirflow:
    """Return what gives the tests to the workers."""
    return OneAirflow(config, log)


@pytest.fixture(scope="session")
def airflow_db(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make Airflow's metadata database in ``AIRFLOW_HOME``, once: what ``dag.test()`` needs.

    One worker of pytest-xdist migrates it, the others copy the file.
    """
    from airflow.configuration import conf  # noqa: PLC0415 - after the settings above
    from fakes.warm_python import warm_python  # noqa: PLC0415

    database = Path(conf.get("database", "sql_alchemy_conn").removeprefix("sqlite:///"))
    folder = tmp_path_factory.getbasetemp()
    migrated = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "airflow-migrated.db"
    with migrated.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if migrated.exists():
            _copy_database(migrated, database)
        else:
            ended = warm_python().run("-m", "airflow", "db", "migrate")
            assert ended.returncode == 0, ended.stderr
            _copy_database(database, migrated)


def _copy_database(source: Path, target: Path) -> None:
    # Not the file, because a part of the database may be in SQLite's log beside it.
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.backup(copy)


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
