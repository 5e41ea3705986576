"""Sync a cohort to Segment when Amplitude's files of it arrive in your bucket.

Amplitude's destination *Amazon S3 (Cohorts)* writes the files, S3 sends a message for each to an SQS queue, and a
watcher of that queue starts a run. No export is spent. Amplitude writes three files at a time, so some runs find no new
set of files; their task is skipped. The watcher needs Airflow 3 and the package
`apache-airflow-providers-common-messaging`; without them this DAG runs only by hand.

**To change:** `cohort_id`, `cohort_files`, and the URL of the queue.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

try:
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger
    from airflow.sdk import AssetWatcher
except ImportError:
    MessageQueueTrigger = None

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/amplitude-cohort-files"

if MessageQueueTrigger is None:
    SCHEDULE = None
else:
    arrived = MessageQueueTrigger(scheme="sqs", sqs_queue=QUEUE, aws_conn_id="aws_default", waiter_delay=30)
    watcher = AssetWatcher(name="arrived_cohort_files", trigger=arrived)
    SCHEDULE = [Asset("x-amplitude://production/cohort-files", watchers=[watcher])]

with DAG(
    dag_id="amplitude_segment_files_on_arrival",
    doc_md=__doc__,
    schedule=SCHEDULE,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    # A set of files is complete a minute after its last file came.
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
    tags=["amplitude", "segment"],
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="26umsb5",
        cohort_files="s3://aws_default@my-bucket/amplitude-cohorts",
        skip_when_unchanged=True,
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
