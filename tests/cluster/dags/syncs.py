"""One sync a DAG, each as the tests of the cluster need it; the rest comes with the run's configuration."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# The rate of the first try is low, so that a test can stop it in the middle. The next try only has to end.
FIRST_TRYS_RATE = "{{ params.events_per_second if ti.try_number == 1 else none }}"


def sync_dag(dag_id: str, **parameters: Any) -> DAG:
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
        default_args={"retries": 2, "retry_delay": timedelta(0)},
        params={"cohort_id": "c1", "events_per_second": None},
    ) as dag:
        AmplitudeCohortToSegmentOperator(
            task_id="sync",
            cohort_id="{{ params.cohort_id }}",
            poll_interval=0.2,
            **{"events_per_second": FIRST_TRYS_RATE, **parameters},
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
    lambda: AmplitudeCohortToSegmentOperator.partial(task_id="sync", poll_interval=0.2).expand(
        cohort_id=["{{ params.cohort_id }}-1", "{{ params.cohort_id }}-2"]
    ),
)
retired = other_dag(
    "retirement", lambda: AmplitudeCohortTraitRetireOperator(task_id="sync", cohort_id="{{ params.cohort_id }}")
)
# Each try has the low rate, because on a busy machine the time of the first one may be over before it sends.
timed = sync_dag(
    "sync_timed",
    deferrable=False,
    events_per_second="{{ params.events_per_second }}",
    execution_timeout=timedelta(seconds=8),
    retries=30,
)
