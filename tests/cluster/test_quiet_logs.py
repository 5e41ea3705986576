"""What runs leave in the log files of their tasks, and in the log of the scheduler, which starts and answers them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cluster.airflow_cluster import AirflowCluster

# A file of Airflow 3, its console, and Airflow 2.
_WARNING_OR_ERROR = re.compile(r'"level":"(warning|error|critical)"|\[(warning|error|critical) *\]|\} (WARN|ERR|CRIT)')
_ERROR = re.compile(r"\[(error|critical) *\]|\} (ERR|CRIT)")

# A busy machine takes longer than pytest's default.
pytestmark = pytest.mark.timeout(600)


def loud_lines(cluster: AirflowCluster, run_ids: Iterable[str]) -> list[str]:
    """Return warnings and errors of the tasks of these runs, and the scheduler's errors that name one of them."""
    home: Path = cluster.airflow.home
    tasks = [log for run_id in run_ids for log in (home / "logs").glob(f"dag_id=*/run_id={run_id}/**/*.log*")]
    assert len(tasks) >= len(list(run_ids))
    loud = [line for log in tasks for line in log.read_text().splitlines() if _WARNING_OR_ERROR.search(line)]
    console = (home / "standalone.log").read_text().splitlines()
    return loud + [line for line in console if _ERROR.search(line) and any(run_id in line for run_id in run_ids)]


def test_runs_that_go_well_leave_neither_a_warning_nor_an_error(cluster: AirflowCluster) -> None:
    """A first sync, one with movers, a deferred one, mapped ones and a retirement, without slugs for links."""
    for cohort_id in ("quiet", "quiet-1", "quiet-2"):
        cluster.cohort(cohort_id, 100)
    # Beside the others, because its cohorts are its own.
    mapped = cluster.start("sync_mapped", "quiet")
    run_ids = [mapped]
    for dag_id in ("sync_waiting", "sync_waiting", "sync_deferred", "retirement"):
        run_ids.append(cluster.start(dag_id, "quiet"))
        assert cluster.airflow.wait_for_run(dag_id, run_ids[-1]) == "success"
        cluster.sandbox.amplitude.cohorts["quiet"].user_ids.pop()
    assert cluster.airflow.wait_for_run("sync_mapped", mapped) == "success"

    assert loud_lines(cluster, run_ids) == []
    assert cluster.sandbox.compare("quiet-2").equal


def test_a_run_that_fails_leaves_its_own_error_alone(cluster: AirflowCluster) -> None:
    run_id = cluster.start("sync_waiting", "nowhere")
    assert cluster.airflow.wait_for_run("sync_waiting", run_id) == "failed"

    loud = loud_lines(cluster, [run_id])

    assert any("CohortNotFoundError" in line or "Task failed" in line for line in loud)
    assert [line for line in loud if "XCom not found" in line] == []
