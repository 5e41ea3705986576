"""The main cases under a real scheduler, worker and triggerer, on whichever Airflow is installed (``make lines``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from standalone2 import Standalone2

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA
from cluster.airflow_cluster import TASK

if TYPE_CHECKING:
    from cluster.airflow_cluster import AirflowCluster

MEMBERS = 300
SOURCES = (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA)
DEFERRED_COHORTS = ("d1", "d2", "d3", "d4")

# A busy machine takes longer than pytest's default, also to start Airflow.
pytestmark = pytest.mark.timeout(600)


def run(cluster: AirflowCluster, dag_id: str, cohort_id: str, **conf: object) -> str:
    """Run a DAG that is expected to end well, and return the run's ID."""
    run_id = cluster.start(dag_id, cohort_id, **conf)
    assert cluster.airflow.wait_for_run(dag_id, run_id) == "success"
    return run_id


def test_a_first_sync_sends_every_member_to_two_sources_and_the_second_one_only_changes(
    cluster: AirflowCluster,
) -> None:
    cluster.cohort("main", MEMBERS)
    run(cluster, "two_sources", "main")
    assert cluster.sandbox.segment.identifies_received == 2 * MEMBERS
    assert all(cluster.sandbox.compare("main", write_key=source).equal for source in SOURCES)

    cohort = cluster.sandbox.amplitude.cohorts["main"]
    cohort.user_ids = [*cohort.user_ids[5:], "entered@example.com"]
    run(cluster, "two_sources", "main")

    assert cluster.sandbox.segment.identifies_received == 2 * (MEMBERS + 6)
    assert all(cluster.sandbox.compare("main", write_key=source).equal for source in SOURCES)
    assert cluster.sandbox.amplitude.exports_spent == 2


def test_a_guard_fails_the_task_without_a_retry_and_nothing_is_sent(cluster: AirflowCluster) -> None:
    users = cluster.cohort("guarded", MEMBERS)
    run(cluster, "two_sources", "guarded")
    received = cluster.sandbox.segment.identifies_received
    cluster.sandbox.amplitude.cohorts["guarded"].user_ids = []

    run_id = cluster.start("two_sources", "guarded")

    assert cluster.airflow.wait_for_run("two_sources", run_id) == "failed"
    assert cluster.airflow.task("two_sources", run_id, TASK)["try_number"] == 1
    assert cluster.sandbox.segment.identifies_received == received
    assert cluster.sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (guarded)") == users


def test_a_dry_run_counts_and_sends_nothing(cluster: AirflowCluster) -> None:
    cluster.cohort("dry", MEMBERS)

    run_id = run(cluster, "two_sources", "dry", dry_run=True)

    report = cluster.airflow.xcom("two_sources", run_id, TASK, "sync_report")
    assert [told["planned"] for told in report["destinations"]] == [MEMBERS, MEMBERS]
    assert cluster.sandbox.segment.identifies_received == 0


def test_four_tasks_deferred_at_once_all_end_well_in_one_triggerer(cluster: AirflowCluster) -> None:
    """Each looks up its connection in the triggerer (``triggers/amplitude.py`` says what may break there)."""
    for cohort_id in DEFERRED_COHORTS:
        cluster.cohort(cohort_id, MEMBERS)
        cluster.sandbox.amplitude.cohorts[cohort_id].ready_after_polls = 4

    run_id = cluster.start("four_deferred", "")

    assert cluster.airflow.wait_for_run("four_deferred", run_id) == "success"
    assert all(cluster.sandbox.compare(cohort, write_key=WRITE_KEY_EMEA).equal for cohort in DEFERRED_COHORTS)
    assert cluster.sandbox.amplitude.exports_spent == len(DEFERRED_COHORTS)
    assert "out of order" not in (cluster.airflow.home / "standalone.log").read_text(errors="replace")


def test_a_retired_cohort_leaves_no_member(cluster: AirflowCluster) -> None:
    cluster.cohort("over", MEMBERS)
    run(cluster, "two_sources", "over")

    run(cluster, "retire", "over")

    assert all(not cluster.sandbox.segment.believes(source, "Power Users (over)") for source in SOURCES)


def test_a_task_has_its_links(cluster: AirflowCluster) -> None:
    cluster.cohort("linked", 3)

    run_id = run(cluster, "two_sources", "linked")

    assert cluster.airflow.links("two_sources", run_id, TASK) == {
        "Cohort in Amplitude": "https://app.amplitude.com/analytics/my-org/cohort/linked",
        "Debugger in Segment": "https://app.segment.com/acme/sources/python/debugger",
    }


@pytest.fixture(scope="module")
def hooks_of_airflow_2(running_cluster: AirflowCluster) -> str | None:
    """Return what the command says, once, because it takes seconds; on Airflow 3 nothing."""
    airflow = running_cluster.airflow
    return airflow.command("providers", "hooks") if isinstance(airflow, Standalone2) else None


@pytest.mark.parametrize(("connection_type", "password"), [("amplitude", "Secret key"), ("segmentio", "Write key")])
def test_the_form_of_a_connection_names_its_fields(
    cluster: AirflowCluster, hooks_of_airflow_2: str | None, connection_type: str, password: str
) -> None:
    if hooks_of_airflow_2 is not None:
        # Airflow 2 renders the form as HTML; tests/test_provider_info.py reads the same fields from the hooks.
        assert connection_type in hooks_of_airflow_2
        return
    form = cluster.airflow.connection_form(connection_type)
    assert form["standard_fields"]["password"]["title"] == password
    assert {"region", "timeout"} <= set(form["extra_fields"])
