"""A task process that is killed with SIGKILL in the middle of a delivery, and Airflow's own retry after it.

Airflow 3.0 retries no task whose process was killed, whatever its ``retries``: ``final_state`` of its supervisor calls
the task failed (https://github.com/apache/airflow/blob/3.0.6/task-sdk/src/airflow/sdk/execution_time/supervisor.py).
There a person clears it.
"""

from __future__ import annotations

from importlib.metadata import version

import pytest

from airflow_provider_amplitude_segment.sandbox import Fault
from cluster.airflow_cluster import TASK, AirflowCluster

MEMBERS = 100_000
BATCH_MESSAGES = 2_500
CONCURRENT_REQUESTS = 4
SENT_BEFORE = 30_000

# A busy machine takes longer than pytest's default.
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("dag_id", ["sync_waiting", "sync_deferred"])
def test_a_task_killed_in_the_middle_of_100000_users_is_retried_and_ends_right(
    cluster: AirflowCluster, dag_id: str
) -> None:
    """One export is spent, and at most the batches in flight are sent twice, under equal message IDs."""
    users = cluster.cohort(dag_id, MEMBERS)
    # Batches are taken at once. From here on they are answered after the kill, so that some are in flight then, however
    # long a busy machine takes to find the process.
    held = Fault(
        on="segment.batch", apply=True, delay_seconds=50, after=SENT_BEFORE // BATCH_MESSAGES, times=CONCURRENT_REQUESTS
    )
    cluster.sandbox.faults.add(held)
    run_id = cluster.start(dag_id, dag_id)
    cluster.wait_until_sent(SENT_BEFORE)

    cluster.sending_task().kill()

    killed_at = cluster.sandbox.segment.identifies_received
    assert 30_000 <= killed_at <= 60_000
    cluster.sandbox.faults.clear()
    ended = cluster.airflow.wait_for_run(dag_id, run_id)
    if version("apache-airflow").startswith("3.0."):
        assert ended == "failed"
        cluster.airflow.clear(dag_id, run_id, TASK)
        ended = cluster.airflow.wait_for_run(dag_id, run_id)
    assert ended == "success"
    assert cluster.airflow.task(dag_id, run_id, TASK)["try_number"] == 2
    assert cluster.sandbox.compare(dag_id).equal
    assert cluster.sandbox.amplitude.exports_spent == 1
    received = cluster.times_received(dag_id)
    assert set(received) == users
    assert all(len(messages) == 1 for messages in received.values()), "somebody was told under two message IDs"
    twice = sum(messages[0] - 1 for messages in received.values())
    assert 0 < twice <= CONCURRENT_REQUESTS * BATCH_MESSAGES
    assert max(messages[0] for messages in received.values()) == 2
