"""The main cases as a scheduler runs them; the rest comes with the run's configuration."""

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

DESTINATIONS = ["segment_default", "segment_emea"]
DEFERRED_COHORTS = ["d1", "d2", "d3", "d4"]


def main_dag(dag_id: str, **params: Any) -> DAG:
    return DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
        default_args={"retries": 1, "retry_delay": timedelta(0)},
        params=params,
    )


with main_dag("two_sources", cohort_id="c1", dry_run=False):
    AmplitudeCohortToSegmentOperator(
        task_id="sync",
        cohort_id="{{ params.cohort_id }}",
        segment_conn_id=DESTINATIONS,
        dry_run="{{ params.dry_run }}",
        events_per_second=None,
        poll_interval=0.2,
    )

with main_dag("asking", cohort_id="c1", approval_timeout=3600):
    AmplitudeCohortToSegmentOperator(
        task_id="sync",
        cohort_id="{{ params.cohort_id }}",
        events_per_second=None,
        poll_interval=0.2,
        on_guard="ask",
        approval_timeout="{{ params.approval_timeout }}",
    )

with main_dag("not_asking", cohort_id="c1"):
    AmplitudeCohortToSegmentOperator(
        task_id="sync", cohort_id="{{ params.cohort_id }}", events_per_second=None, poll_interval=0.2
    )

with main_dag("four_deferred"):
    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync", segment_conn_id="segment_emea", events_per_second=None, poll_interval=0.2, deferrable=True
    ).expand(cohort_id=DEFERRED_COHORTS)

with main_dag("retire", cohort_id="c1"):
    AmplitudeCohortTraitRetireOperator(
        task_id="retire", cohort_id="{{ params.cohort_id }}", segment_conn_id=DESTINATIONS, events_per_second=None
    )
