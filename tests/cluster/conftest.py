"""A real Airflow beside a sandbox, started once: what the tests of this folder kill, stop and clear tasks of."""

from __future__ import annotations

import json
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from standalone import standalone

from airflow_provider_amplitude_segment.sandbox import Sandbox
from cluster.airflow_cluster import AirflowCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from standalone import Standalone


# Short values of a connection are no reason to warn.
EXTRA = {"region": "US", "timeout": "60"}
LINKS = {
    "AIRFLOW_CONN_AMPLITUDE_DEFAULT": {"org_url": "my-org"},
    "AIRFLOW_CONN_SEGMENT_DEFAULT": {"workspace": "acme", "source": "python"},
}
HERE = Path(__file__).parent
# Less waiting; a line of Airflow ignores the settings that it does not have.
FAST = {
    # Airflow 2 with SQLite has the SequentialExecutor, whose every task is a new interpreter that imports Airflow.
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
    "AIRFLOW__CORE__PARALLELISM": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    # An API call of a task; on a busy machine it takes longer than the default of 5 s.
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
    # A task learns of its end at a heartbeat.
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    # Airflow 2 retries a task whose process was killed when it looks for such tasks; Airflow 3 has renamed the setting.
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
    # The DAG files are parsed once, because they do not change: Airflow 3, Airflow 2.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
    # Airflow 2's LocalExecutor forks beside threads, of which Python 3.12 warns in the task's log.
    "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",
    # airflow_local_settings.py
    "PYTHONPATH": os.pathsep.join([str(HERE / "settings"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
}


def with_extra(connections: dict[str, str]) -> dict[str, str]:
    """Let Amplitude's connection and the first of Segment's say where links lead; the other has no slugs."""
    return {
        name: json.dumps({**json.loads(connection), "extra": EXTRA | LINKS.get(name, {})})
        for name, connection in connections.items()
    }


@pytest.fixture(scope="package")
def running_cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[AirflowCluster]:
    """Start the sandbox and Airflow; whatever was started is stopped after the last test of this folder."""
    home = tmp_path_factory.mktemp("cluster")
    with Sandbox.start(cohorts=[], keep_messages=True) as sandbox:
        sandbox.amplitude.parallel_per_minute = sandbox.amplitude.requests_per_ten_minutes = None
        env = {
            **with_extra(sandbox.airflow_connections()),
            "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(home / "state"),
            # All Airflows of these tests have one configuration, as far as a run's key goes by it.
            "AIRFLOW__AMPLITUDE_SEGMENT__INSTALLATION": "twins",
            **FAST,
        }
        green: Future[Standalone] = Future()
        with (
            ThreadPoolExecutor(1) as background,
            ExitStack() as stack,
            standalone(home / "airflow", HERE / "dags", env) as airflow,
        ):
            if any("green" in getattr(item, "fixturenames", ()) for item in request.session.items):
                # It starts beside the tests that do not need it.
                second = standalone(home / "green", HERE / "dags", env)
                stack.push(second)
                second.start()
                green = background.submit(second.__enter__)
            airflow.wait_for_dags(
                *("sync_waiting", "sync_deferred", "sync_timed", "sync_mapped", "retirement"),
                *("two_sources", "four_deferred", "retire", "asking", "not_asking"),
            )
            yield AirflowCluster(airflow, green, sandbox, home / "state")


@pytest.fixture
def cluster(running_cluster: AirflowCluster) -> AirflowCluster:
    """Return the running cluster; Amplitude and Segment have forgotten what came before."""
    running_cluster.sandbox.faults.clear()
    running_cluster.sandbox.amplitude.forget()
    running_cluster.sandbox.segment.forget()
    return running_cluster
