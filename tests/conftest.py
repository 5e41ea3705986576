"""Settings that must stand before Airflow is first imported, and what all tests share."""

import os
import subprocess
import sys
import tempfile

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "True")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
os.environ.setdefault("AIRFLOW__CORE__DAGS_FOLDER", f"{os.environ['AIRFLOW_HOME']}/dags")


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make Airflow's metadata database in ``AIRFLOW_HOME``, once: what ``dag.test()`` needs."""
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
