"""Sync an Amplitude cohort to Segment one time.

The DAG runs as soon as you switch it on. Users who exit the cohort later stay `true` in Segment until another sync
sends `false` for them.

**To change:** `cohort_id` (the last part of the cohort's URL in Amplitude).
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    dag_id="amplitude_segment_once",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`.
    schedule="@once",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="9apg8e8f",
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
