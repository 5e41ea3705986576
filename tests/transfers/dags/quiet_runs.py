"""Runs that go well: a first sync, a second one, a deferred one, a dry run, mapped ones, and a retirement."""

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    dag_id="quiet_runs",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
) as dag:

    @task
    def list_cohorts() -> list[dict[str, Any]]:
        return AmplitudeHook().map_cohorts(name="Mapped*")

    @task
    def name_connections(number: int) -> str:
        return ("segment_default", "segment_emea")[number]

    def sync(task_id: str, **parameters: Any) -> AmplitudeCohortToSegmentOperator:
        return AmplitudeCohortToSegmentOperator(task_id=task_id, cohort_id="c1", poll_interval=0.1, **parameters)

    mapped = AmplitudeCohortToSegmentOperator.partial(
        task_id="mapped",
        poll_interval=0.1,
        map_index_template="{{ params.cohort_label }}",
        segment_conn_id=name_connections.expand(number=[0, 1]),
    ).expand_kwargs(list_cohorts())
    retirement = AmplitudeCohortTraitRetireOperator(task_id="retirement", cohort_id="c1")

    sync("first") >> sync("second") >> sync("deferred", deferrable=True) >> sync("dry", dry_run=True) >> mapped
    mapped >> retirement
