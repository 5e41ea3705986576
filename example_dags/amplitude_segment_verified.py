"""Sync an Amplitude cohort to Segment every day, and verify that Segment has it.

Segment responds with 200 also to messages that it drops afterwards. The second task asks Segment's Public API what it
received, and its Profile API for a sample of the users. If more than one user in a hundred differs, the task fails, and
the tasks after it do not start. With **heal**, the next run sends the users who differ again.

**To change:** `cohort_id` (the last part of the cohort's URL in Amplitude) and the schedule. The Segment connection
names a connection of type *Segment (Public API)* in its field *Public API connection ID*. If several DAGs verify users
of one space, put their verifications into a pool with one slot.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_amplitude_segment.operators.verify import SegmentCohortVerifyOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

COHORT_ID = "26umsb5"

with DAG(
    dag_id="amplitude_segment_verified",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`.
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    # No two runs at once, because a sync during a verification would change what is compared.
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "sample_size": Param(
            default=1000,
            type="integer",
            minimum=1,
            maximum=100000,
            title="Users to ask for",
            description="1,000 users take about 25 seconds, and show a share of 0.6 % that differs.",
        ),
        "max_mismatch_ratio": Param(
            default=0.01,
            type="number",
            minimum=0,
            maximum=1,
            title="Largest share that may differ",
            description="If a larger share of the compared users differs, the task fails.",
        ),
        "heal": Param(
            default=True,
            type="boolean",
            title="Heal",
            description="Let the next sync send the users who differ again.",
        ),
        "settle_seconds": Param(
            default=60,
            type="number",
            minimum=0,
            title="Seconds until Segment has settled",
            description="How long after the sync Segment is asked.",
            section="Advanced",
        ),
        "recheck_seconds": Param(
            default=600,
            type="number",
            minimum=0,
            title="Seconds of rechecks",
            description="For how long a user who differs is asked for again before the difference counts.",
            section="Advanced",
        ),
    },
) as dag:
    sync = AmplitudeCohortToSegmentOperator(task_id="sync_cohort", cohort_id=COHORT_ID)

    verify = SegmentCohortVerifyOperator(
        task_id="verify_cohort",
        cohort_id=COHORT_ID,
        sample_size="{{ params.sample_size }}",
        max_mismatch_ratio="{{ params.max_mismatch_ratio }}",
        heal="{{ params.heal }}",
        settle_seconds="{{ params.settle_seconds }}",
        recheck_seconds="{{ params.recheck_seconds }}",
        # The same ledger as that of the sync: set [amplitude_segment] state_path,
        # or here and above state_path="s3://aws_default@my-bucket/amplitude-segment".
    )

    sync >> verify
