"""Sync an Amplitude cohort from the files that Amplitude writes to a bucket, every hour, without spending an export.

Amplitude's destination *Amazon S3 (Cohorts)* writes the files. A run whose set was synced before ends as skipped.

**To change:** `cohort_id`, and Variable `amplitude_cohort_files`, the folder's URL: the connection, the bucket and the
path that the destination has, such as `s3://aws_default@my-bucket/amplitude`.

**When a run finds no set** it is retried, because Amplitude may write late.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    dag_id="amplitude_segment_files",
    doc_md=__doc__,
    # Amplitude begins on the hour; half an hour later its files are there.
    schedule="30 * * * *",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    # No past runs and no two runs at once, because the newest set has the membership of now.
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 4, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="26umsb5",
        cohort_files="{{ var.value.amplitude_cohort_files }}",
        skip_when_unchanged=True,
    )
