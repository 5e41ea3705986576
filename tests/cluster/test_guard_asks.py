"""A guard that asks a person, under a real scheduler and API server; where Airflow cannot ask, the refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault
from cluster.airflow_cluster import TASK

if TYPE_CHECKING:
    from cluster.airflow_cluster import AirflowCluster

try:
    from airflow.sdk.execution_time import hitl as _hitl  # noqa: F401

    CAN_ASK = True
except ImportError:
    CAN_ASK = False

MEMBERS = 200
STAYING = 50
DAG_ID = "asking"
# On a busy machine Airflow takes longer than pytest's default, also to start.
pytestmark = pytest.mark.timeout(900)


if not CAN_ASK:

    def test_an_airflow_that_cannot_ask_refuses_the_parameter_before_an_export_is_spent(
        cluster: AirflowCluster,
    ) -> None:
        cluster.cohort("refused", MEMBERS)

        run_id = cluster.start(DAG_ID, "refused")

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "failed"
        assert cluster.airflow.task(DAG_ID, run_id, TASK)["try_number"] == 1
        assert cluster.sandbox.amplitude.exports_spent == 0


if CAN_ASK:

    def ask(cluster: AirflowCluster, cohort_id: str, **conf: Any) -> str:
        """Sync 200 members, let all but 50 leave, and sync until the guard asks; return the run that waits."""
        cluster.cohort(cohort_id, MEMBERS)
        run_id = cluster.start("not_asking", cohort_id)
        assert cluster.airflow.wait_for_run("not_asking", run_id) == "success"
        cluster.cohort(cohort_id, STAYING)
        cluster.sandbox.amplitude.exports_spent = 0
        run_id = cluster.start(DAG_ID, cohort_id, **conf)
        cluster.wait_until_parked(DAG_ID, run_id)
        assert len(believed(cluster, cohort_id)) == MEMBERS
        return run_id

    def believed(cluster: AirflowCluster, cohort_id: str) -> set[str]:
        return cluster.sandbox.segment.believes(WRITE_KEY_DEFAULT, f"Power Users ({cohort_id})")

    def code(cluster: AirflowCluster, run_id: str) -> dict[str, str]:
        return {"question": cluster.airflow.xcom(DAG_ID, run_id, TASK, "guard_question")["code"]}

    def report(cluster: AirflowCluster, run_id: str) -> dict[str, Any]:
        return dict(cluster.airflow.xcom(DAG_ID, run_id, TASK, "sync_report")["destinations"][0])

    def test_send_anyway_sends_the_same_export_in_the_same_try_also_after_airflow_was_restarted(
        cluster: AirflowCluster,
    ) -> None:
        run_id = ask(cluster, "asked")
        question = cluster.airflow.question(DAG_ID, run_id, TASK)
        assert question["subject"].startswith("Send cohort 'Power Users' (asked)? 150 of 200 members would exit (75%)")
        cluster.airflow.restart()

        cluster.airflow.answer(DAG_ID, run_id, TASK, "Send anyway", code(cluster, run_id))

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "success"
        assert cluster.airflow.task(DAG_ID, run_id, TASK)["try_number"] == 1
        assert cluster.sandbox.amplitude.exports_spent == 1
        assert cluster.sandbox.compare("asked").equal
        answered_by = cluster.airflow.question(DAG_ID, run_id, TASK)["responded_by_user"]["name"]
        assert report(cluster, run_id)["approved_by"] == answered_by

    def test_do_not_send_sends_nothing_and_is_not_retried(cluster: AirflowCluster) -> None:
        run_id = ask(cluster, "declined")

        cluster.airflow.answer(DAG_ID, run_id, TASK, "Do not send", code(cluster, run_id))

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "failed"
        assert cluster.airflow.task(DAG_ID, run_id, TASK)["try_number"] == 1
        assert len(believed(cluster, "declined")) == MEMBERS
        assert "answered 'Do not send'" in report(cluster, run_id)["error"]

    def test_a_question_that_is_not_answered_in_time_sends_nothing(cluster: AirflowCluster) -> None:
        run_id = ask(cluster, "late", approval_timeout=5)

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "failed"
        assert cluster.airflow.task(DAG_ID, run_id, TASK)["try_number"] == 1
        assert len(believed(cluster, "late")) == MEMBERS
        assert "No person answered in time" in report(cluster, run_id)["error"]

    def test_an_answer_after_the_state_moved_is_asked_again(cluster: AirflowCluster) -> None:
        """Airflow shows the first question's text still, so its code approves nothing; the new code does."""
        run_id = ask(cluster, "moved")
        first = code(cluster, run_id)
        cluster.cohort("moved", 300)
        other = cluster.start("not_asking", "moved")
        assert cluster.airflow.wait_for_run("not_asking", other) == "success"
        cluster.cohort("moved", STAYING)

        cluster.airflow.answer(DAG_ID, run_id, TASK, "Send anyway", first)
        cluster.wait_until_parked(DAG_ID, run_id, times=2)
        assert len(believed(cluster, "moved")) == 300
        cluster.airflow.answer(DAG_ID, run_id, TASK, "Send anyway", first)
        cluster.wait_until_parked(DAG_ID, run_id, times=3)
        assert len(believed(cluster, "moved")) == 300
        assert code(cluster, run_id) != first
        cluster.airflow.answer(DAG_ID, run_id, TASK, "Send anyway", code(cluster, run_id))

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "success"
        assert cluster.sandbox.compare("moved").equal

    def test_a_worker_that_is_killed_right_after_it_resumed_asks_no_second_question(cluster: AirflowCluster) -> None:
        run_id = ask(cluster, "killed")
        cluster.sandbox.faults.add(Fault(on="amplitude.list", apply=True, delay_seconds=40, times=1))
        cluster.airflow.answer(DAG_ID, run_id, TASK, "Send anyway", code(cluster, run_id))

        cluster.sending_task().kill()
        cluster.sandbox.faults.clear()

        assert cluster.airflow.wait_for_run(DAG_ID, run_id) == "success"
        assert cluster.airflow.task(DAG_ID, run_id, TASK)["try_number"] == 2
        assert cluster.sandbox.amplitude.exports_spent == 1
        assert cluster.sandbox.compare("killed").equal
        assert report(cluster, run_id)["approved_by"]
