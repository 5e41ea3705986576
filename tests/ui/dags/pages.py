"""The DAGs that the pages show: two that are filled with reports of before, and those that a test runs."""

from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.operators.verify import SegmentCohortVerifyOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

COHORT = "{{ params.cohort_id }}"


def page_dag(dag_id: str, schedule: str | None = None, **params: Any) -> DAG:
    return DAG(
        dag_id=dag_id,
        schedule=schedule,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
        params=params,
    )


for dag_id, schedule in (("growth_daily", "0 3 * * *"), ("many_cohorts", None)):
    with page_dag(dag_id, schedule):

        @task(task_id="sync")
        def do_nothing() -> None:
            """Be the task whose reports are put into the database."""

        do_nothing()

with page_dag("syncing", cohort_id="c1"):
    AmplitudeCohortToSegmentOperator(task_id="sync", cohort_id=COHORT, poll_interval=0.2)

with page_dag("asking", cohort_id="c1", approval_timeout=3600):
    AmplitudeCohortToSegmentOperator(
        task_id="sync",
        cohort_id=COHORT,
        events_per_second=None,
        poll_interval=0.2,
        on_guard="ask",
        approval_timeout="{{ params.approval_timeout }}",
    )

with page_dag("not_asking", cohort_id="c1"):
    AmplitudeCohortToSegmentOperator(task_id="sync", cohort_id=COHORT, events_per_second=None, poll_interval=0.2)

with page_dag("verifying", cohort_id="c1"):
    SegmentCohortVerifyOperator(
        task_id="verify", cohort_id=COHORT, segment_conn_id="segment_default", settle_seconds=0, recheck_seconds=0
    )

with page_dag("retiring", cohort_id="c1"):
    AmplitudeCohortTraitRetireOperator(task_id="retire", cohort_id=COHORT, events_per_second=None)
