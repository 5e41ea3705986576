"""Forty cohorts over two Celery workers, one of which is killed hard in the middle."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from celery_cluster.many_cohorts import ManyCohorts

log = logging.getLogger(__name__)

DAG_ID = "many_cohorts"
COHORTS, MEMBERS = 40, 2_000
DONE_BEFORE_THE_KILL = 8
CONCURRENT_REQUESTS, BATCH_MESSAGES = 4, 62


@pytest.mark.timeout(1_800)
def test_forty_cohorts_arrive_though_a_worker_is_killed_in_the_middle(cluster: ManyCohorts) -> None:
    """What it told is gone on with by the other worker, and what it had only taken from the queue is begun there."""
    cohorts = cluster.make("forty", COHORTS, members=MEMBERS, polls=4)
    began = time.monotonic()
    run_id = cluster.airflow.start_run(DAG_ID, {})
    dying, surviving = cluster.airflow.workers
    cluster.wait_until_succeeded(DONE_BEFORE_THE_KILL, DAG_ID, run_id)
    cluster.make_it_take_a_task_and_not_begin(dying, DAG_ID, run_id)
    telling = cluster.wait_until_only_sending_on(dying, DAG_ID, run_id)
    taken = cluster.held_back(DAG_ID, run_id)

    killed = dying.kill()

    log.info(
        "After %.0f s %s processes of a worker were killed: it was telling the cohorts %s, and had taken %s",
        time.monotonic() - began,
        killed,
        [ti["map_index"] for ti in telling],
        [ti["map_index"] for ti in taken],
    )
    finished = cluster.finish(DAG_ID, run_id, began)
    log.info("Forty cohorts: %s, %s messages received twice", finished, cluster.received_twice())
    assert finished.state == "success"
    assert all(cluster.sandbox.compare(cohort_id).equal for cohort_id in cohorts)
    assert cluster.exports() == dict.fromkeys(cohorts, 1)
    assert cluster.sandbox.amplitude.exports_spent == COHORTS
    assert cluster.sandbox.amplitude.exports_refused == {}
    assert cluster.sent_under_several_ids() == []
    assert cluster.received_twice() <= len(telling) * CONCURRENT_REQUESTS * BATCH_MESSAGES
    for ti in telling:
        first, second = cluster.airflow.tries(ti)
        assert (first["state"], first["hostname"]) == ("failed", dying.name)
        assert (second["state"], second["hostname"]) == ("success", surviving.name)
    assert taken
    for ti in taken:
        (only,) = cluster.airflow.tries(ti)
        assert (only["state"], only["hostname"]) == ("success", surviving.name)
    cluster.log_return_of(telling, taken, dying)
