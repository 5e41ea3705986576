"""Many cohorts mapped over the workers, as in docs/how-to/many-cohorts.md.

One pool counts deferred tasks, one does not.
"""

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator


def many_cohorts_dag(dag_id: str, pool: str) -> DAG:
    with DAG(
        dag_id=dag_id,
        schedule=None,
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=40,
        is_paused_upon_creation=False,
        default_args={"retries": 3, "retry_delay": timedelta(seconds=2)},
    ) as dag:

        @task
        def list_cohorts() -> list[str]:
            return [cohort.cohort_id for cohort in AmplitudeHook().list_cohorts(name="Lifecycle: *")]

        AmplitudeCohortToSegmentOperator.partial(
            task_id="sync",
            pool=pool,
            deferrable=True,
            poll_interval=1,
            # Four at once share the 1,000 a second of one workspace.
            events_per_second=250,
            map_index_template="{{ task.cohort_id }}",
        ).expand(cohort_id=list_cohorts())
    return dag


counted = many_cohorts_dag("many_cohorts", "amplitude_exports")
uncounted = many_cohorts_dag("many_cohorts_deferred_uncounted", "amplitude_exports_deferred_uncounted")
