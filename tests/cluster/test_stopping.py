"""A running task that is marked failed, cleared, or over its time: how it ends, and how the next one goes on.

On either line Airflow sends SIGTERM at a heartbeat and SIGKILL later (docs/explanation/reliability.md); here the task
ends before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.triggers.base import BaseTrigger
from standalone2 import Standalone2

from cluster.airflow_cluster import TASK

if TYPE_CHECKING:
    from cluster.airflow_cluster import AirflowCluster

MEMBERS = 40_000
TOLD_BEFORE = 7_500

# A busy machine takes longer than pytest's default.
pytestmark = pytest.mark.timeout(600)


def events_per_second(cluster: AirflowCluster, how: str) -> int:
    """Return a rate at which a busy machine has the time to stop the task before all is sent."""
    if how == "over its time":
        return 4_000
    # On Airflow 2 it takes a command to clear, and that many seconds.
    return 1_000 if how == "cleared" and isinstance(cluster.airflow, Standalone2) else 2_000


def stop_in_the_middle(cluster: AirflowCluster, dag_id: str, cohort_id: str, how: str) -> str:
    """Stop a task while it tells; what Segment has heard by then is in the journal. Return the run's ID."""
    run_id = cluster.start(dag_id, cohort_id, events_per_second=events_per_second(cluster, how))
    # Before so many are sent: on a busy machine the time is over soon after.
    cluster.wait_until_sent(1)
    task = cluster.sending_task()
    cluster.wait_until_sent(TOLD_BEFORE)

    if how == "marked failed":
        cluster.airflow.mark_failed(dag_id, run_id, TASK)
    if how == "cleared":
        cluster.airflow.clear(dag_id, run_id, TASK)

    cluster.wait_until_gone(task)
    assert TOLD_BEFORE <= cluster.sandbox.segment.identifies_received < MEMBERS
    cluster.wait_until_journalled(cohort_id)
    return run_id


def assert_every_user_was_sent_once(cluster: AirflowCluster, cohort_id: str, users: set[str]) -> None:
    """Over both tries: under one message ID each, received once."""
    assert cluster.sandbox.compare(cohort_id).equal
    assert cluster.times_received(cohort_id) == {user: [1] for user in users}


@pytest.mark.parametrize(("how", "dag_id"), [("cleared", "sync_waiting"), ("over its time", "sync_timed")])
def test_the_next_try_of_a_stopped_task_tells_only_what_is_pending(
    cluster: AirflowCluster, how: str, dag_id: str
) -> None:
    cohort_id = f"next-try-{dag_id}"
    users = cluster.cohort(cohort_id, MEMBERS)
    run_id = stop_in_the_middle(cluster, dag_id, cohort_id, how)
    # On a busy machine the time may have been over before the plan, and is over more than once.
    exports_before = cluster.sandbox.amplitude.exports_spent

    assert cluster.airflow.wait_for_run(dag_id, run_id) == "success"

    assert cluster.airflow.task(dag_id, run_id, TASK)["try_number"] >= 2
    assert cluster.sandbox.amplitude.exports_spent == exports_before
    assert_every_user_was_sent_once(cluster, cohort_id, users)


def test_the_run_after_a_task_that_was_marked_failed_is_let_in_at_once_and_tells_only_what_is_pending(
    cluster: AirflowCluster,
) -> None:
    users = cluster.cohort("marked", MEMBERS)
    run_id = stop_in_the_middle(cluster, "sync_waiting", "marked", "marked failed")
    assert cluster.airflow.wait_for_run("sync_waiting", run_id) == "failed"

    run_id = cluster.start("sync_waiting", "marked")

    assert cluster.airflow.wait_for_run("sync_waiting", run_id) == "success"
    assert cluster.airflow.task("sync_waiting", run_id, TASK)["try_number"] == 1
    assert_every_user_was_sent_once(cluster, "marked", users)


# Before 3.3 Airflow tells the trigger of a deferred task nothing when the task is marked or cleared.
if hasattr(BaseTrigger, "on_kill"):

    def test_a_deferred_task_that_is_marked_failed_gives_its_claim_back(cluster: AirflowCluster) -> None:
        users = cluster.cohort("deferred", 100)
        cluster.sandbox.amplitude.cohorts["deferred"].ready_after_polls = 1_000_000
        run_id = cluster.start("sync_deferred", "deferred")
        cluster.wait_until_waited_for_by_a_trigger("deferred")
        cluster.airflow.mark_failed("sync_deferred", run_id, TASK)
        assert cluster.airflow.wait_for_run("sync_deferred", run_id) == "failed"

        cluster.wait_until_given_back("deferred")

        cluster.sandbox.amplitude.cohorts["deferred"].ready_after_polls = 0
        run_id = cluster.start("sync_deferred", "deferred")
        assert cluster.airflow.wait_for_run("sync_deferred", run_id) == "success"
        assert_every_user_was_sent_once(cluster, "deferred", users)
