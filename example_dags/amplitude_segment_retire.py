"""Retire an Amplitude cohort in Segment: send `false` for all users whom Segment may have as `true`.

Use it for a cohort that is no longer synced, for instance because it was archived or deleted in Amplitude. Without it
the last members stay `true` in Segment. **First remove the cohort from the DAG that syncs it**, because its next sync
would send `true` for all members again. Start with a **dry run**: it counts the users, and sends nothing.

**To change:** the connections that the form offers.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator

with DAG(
    dag_id="amplitude_segment_retire",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`. None: the DAG runs only when triggered.
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "cohort_id": Param(
            default="1a2bc3de",
            type="string",
            minLength=1,
            title="Cohort ID",
            description="As in the syncs: the last part of the cohort's URL in Amplitude.",
        ),
        "segment_conn_ids": Param(
            default=["segment_default"],
            type="array",
            minItems=1,
            examples=["segment_default", "segment_emea"],
            title="Destinations",
            description="Segment connections of the syncs, one for each source.",
        ),
        "dry_run": Param(
            default=True,
            type="boolean",
            title="Dry run",
            description="Only count and list the users; nothing is sent, and the state stays.",
        ),
        "app_id": Param(
            default=None,
            type=["null", "string"],
            title="Amplitude project",
            description="Its number; needed only if several projects synced a cohort with this ID.",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            title="When a part of the state is missing",
            description="fail, or full: retire the users that the state still has. Others stay true.",
            section="Advanced",
        ),
        "events_per_second": Param(
            default=1000,
            type=["null", "number"],
            minimum=1,
            title="Users sent a second",
            description="A Segment workspace accepts about 1,000. Empty: no limit.",
            section="Advanced",
        ),
    },
) as dag:
    AmplitudeCohortTraitRetireOperator(
        task_id="retire_cohort",
        cohort_id="{{ params.cohort_id }}",
        segment_conn_id="{{ params.segment_conn_ids }}",
        dry_run="{{ params.dry_run }}",
        app_id="{{ params.app_id }}",
        on_missing_state="{{ params.on_missing_state }}",
        events_per_second="{{ params.events_per_second }}",
        # The same state as that of the DAG which synced the cohort: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
