"""Two Airflows that are configured alike, with one state path and one run ID: a blue/green upgrade."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_amplitude_segment.sandbox import Fault

if TYPE_CHECKING:
    from standalone import Standalone

    from cluster.airflow_cluster import AirflowCluster

MEMBERS = 60_000
RUN_ID = "nightly-2026-11-24"
DAG_ID = "sync_waiting"

# A busy machine takes longer than pytest's default.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def green(cluster: AirflowCluster) -> Standalone:
    """Return a second Airflow, with a database of its own; it has started in the background."""
    airflow = cluster.green.result()
    airflow.wait_for_dags(DAG_ID)
    return airflow


def logged(airflow: Standalone) -> str:
    logs = sorted((airflow.home / "logs").rglob("*.log"))
    return "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)


def test_the_second_airflow_fails_at_once_in_each_try_and_names_the_first(
    cluster: AirflowCluster, green: Standalone
) -> None:
    """It spends no export, and the first one sends each message once."""
    cluster.cohort("blue-green", MEMBERS)
    # The first one is at work until the second one has given up, and the faults are cleared.
    cluster.sandbox.faults.add(Fault(on="segment.batch", apply=True, delay_seconds=50, times=MEMBERS))
    conf = {"cohort_id": "blue-green"}
    cluster.airflow.start_run(DAG_ID, conf, RUN_ID)
    cluster.wait_until_sent(1)

    green.start_run(DAG_ID, conf, RUN_ID)

    assert green.wait_for_run(DAG_ID, RUN_ID) == "failed"
    assert cluster.sandbox.segment.identifies_received < MEMBERS
    cluster.sandbox.faults.clear()
    assert green.task(DAG_ID, RUN_ID, "sync")["try_number"] == 3
    assert cluster.airflow.wait_for_run(DAG_ID, RUN_ID) == "success"
    assert cluster.airflow.task(DAG_ID, RUN_ID, "sync")["try_number"] == 1
    assert cluster.sandbox.amplitude.exports_spent == 1
    assert cluster.sandbox.segment.identifies_received == MEMBERS
    assert cluster.sandbox.compare("blue-green").equal
    named = rf"DAG '{DAG_ID}', run '{RUN_ID}', task 'sync' in Airflow 'twins' on host '[^']+' \(try 1\) is syncing"
    assert re.search(named, logged(green).replace("\\'", "'"))
