"""One sync a DAG, each as the tests of the cluster need it; the rest comes with the run's configuration."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator


def sync_dag(dag_id: str, **parameters: Any) -> DAG:
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
        params={"cohort_id": "c1", "events_per_second": None},
    ) as dag:
        AmplitudeCohortToSegmentOperator(
            task_id="sync",
            cohort_id="{{ params.cohort_id }}",
            events_per_second="{{ params.events_per_second }}",
            poll_interval=1,
            **parameters,
        )
    return dag


def other_dag(dag_id: str, task: Callable[[], object]) -> DAG:
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
        params={"cohort_id": "c1", "events_per_second": None},
    ) as dag:
        task()
    return dag


waiting = sync_dag("sync_waiting", deferrable=False)
deferred = sync_dag("sync_deferred", deferrable=True)
mapped = other_dag(
    "sync_mapped",
    lambda: AmplitudeCohortToSegmentOperator.partial(task_id="sync", poll_interval=1).expand(
        cohort_id=["{{ params.cohort_id }}-1", "{{ params.cohort_id }}-2"]
    ),
)
retired = other_dag(
    "retirement", lambda: AmplitudeCohortTraitRetireOperator(task_id="sync", cohort_id="{{ params.cohort_id }}")
)
timed = sync_dag("sync_timed", deferrable=False, execution_timeout=timedelta(seconds=6), retries=9)
