"""A run that goes well leaves no warning and no error in the log, and nothing of an object store's library."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.dag_process import run_dag_and_read

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from fakes.s3_server import S3Server

# Airflow 3 and Airflow 2.
_LOUD = re.compile(r"\[(warning|error|critical) *\]|\} (WARNING|ERROR|CRITICAL) -|Traceback|Warning: ")
# These are of the test, which reads the DAG where older Airflows have it, and of Airflow 2.11's own metrics.
_NOT_OF_THE_RUN = ("Importing DagBag", "Timer and timing metrics publish in seconds")
_VENDORS = re.compile(r"\[(aiobotocore|boto3|botocore|fsspec|s3fs|urllib3)[.\w]*\]|Found credentials")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("forgetful_airflow")
def test_runs_that_go_well_are_quiet(sandbox: Sandbox, s3_server: S3Server, bucket: str) -> None:
    """With short values in Extra, no slugs for links, and a ledger on S3 by credentials of the environment.

    In a process of its own: Airflow 3 logs some of it from where it answers the task, and a warning once a process.
    """
    for number in (1, 2):
        sandbox.amplitude.cohorts[f"m{number}"] = SandboxCohort(f"m{number}", f"Mapped {number}", [f"user-{number}"])
    connections = {
        name: json.dumps({**json.loads(value), "extra": {"region": "US", "timeout": "60"}})
        for name, value in sandbox.airflow_connections().items()
    }
    environment = {
        **connections,
        "AIRFLOW_CONN_LEDGER_STORE": s3_server.connection(login="", password=""),
        "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": f"s3://ledger_store@{bucket}/ledgers",
        "AWS_ACCESS_KEY_ID": "ledger-key",
        "AWS_SECRET_ACCESS_KEY": "ledger-secret",
    }

    file = Path(__file__).parent / "dags" / "quiet_runs.py"
    state, printed = run_dag_and_read(file, environment, within_seconds=300)

    assert state == "success", printed
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)") == set()
    for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA):
        assert sandbox.segment.believes(key, "Mapped 2 (m2)") == {"user-2"}
    lines = [line for line in printed.splitlines() if not any(known in line for known in _NOT_OF_THE_RUN)]
    assert "Summary: done." in printed
    assert [line for line in lines if _LOUD.search(line)] == []
    assert [line for line in lines if _VENDORS.search(line)] == []
