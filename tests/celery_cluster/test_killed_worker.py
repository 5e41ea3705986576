"""Forty cohorts over two Celery workers, one of which is killed hard in the middle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from celery_cluster.many_cohorts import ManyCohorts

COHORTS, MEMBERS = 40, 2_000
DONE_BEFORE_THE_KILL = 8


@pytest.mark.timeout(1_800)
def test_forty_cohorts_arrive_though_a_worker_is_killed_in_the_middle(cluster: ManyCohorts) -> None:
    """Its tasks come back on the other worker, with the export they had spent and the plan they had begun."""
    cohorts = cluster.make(COHORTS, members=MEMBERS, polls=4)
    began = time.monotonic()
    run_id = cluster.airflow.start_run("many_cohorts", {})
    dying, surviving = cluster.airflow.workers
    cluster.wait_until_succeeded(DONE_BEFORE_THE_KILL, "many_cohorts", run_id)
    dying.freeze_an_idle_process()
    cluster.wait_until_held_back("many_cohorts", run_id)
    struck = cluster.wait_until_only_telling_on(dying, "many_cohorts", run_id)
    reserved = cluster.held_back("many_cohorts", run_id)
    killed = dying.kill()

    print(f"killed {killed} processes after {time.monotonic() - began:.0f} s")
    print(f"telling {[ti['map_index'] for ti in struck]} reserved {[ti['map_index'] for ti in reserved]}")
    try:
        assert cluster.airflow.wait_for_run("many_cohorts", run_id) == "success"
    finally:
        print(f"ended after {time.monotonic() - began:.0f} s, {time.time() - dying.killed_at:.0f} s after kill")
        for ti in cluster.airflow.mapped("many_cohorts", run_id):
            print(ti["map_index"], ti["state"], ti["try_number"], ti["hostname"], ti["queued_when"], ti["start_date"], ti["end_date"], ti["duration"])
        for ti in struck + reserved:
            for t in cluster.airflow.tries(ti):
                print(ti["map_index"], {k: t[k] for k in ("try_number", "state", "hostname", "queued_when", "start_date", "end_date")})
        for e in ("heartbeat timeout", "stuck in queued reschedule"):
            print(e, [(x["map_index"], x["when"]) for x in cluster.airflow.events(run_id, e)])
        print("refused", cluster.sandbox.amplitude.exports_refused, "exports", cluster.sandbox.amplitude.exports_spent, "twice", cluster.received_twice())
        print("429s of segment", [b for b in cluster.sandbox.segment.batches if b.status != 200][:3])
    assert all(cluster.sandbox.compare(cohort_id).equal for cohort_id in cohorts)
    assert cluster.exports() == dict.fromkeys(cohorts, 1)
    assert cluster.sandbox.amplitude.exports_spent == COHORTS
    assert cluster.sandbox.amplitude.exports_refused == {}
