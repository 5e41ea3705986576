"""Take an Amplitude cohort back from Segment: everyone who was ever told `true` is told `false`.

For a cohort that is synced no more, as it was archived or deleted in Amplitude: Segment keeps its last members
`true` otherwise. Amplitude is not asked. **Take the cohort out of the DAG that syncs it first**: the next sync
would tell everyone `true` again. Start with a **dry run**: it says how many would be told, and sends nothing.

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
    # Airflow 3 calls `schedule_interval` `schedule`; 2.11 takes `schedule` too. None: only when triggered.
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
            description="As it was synced with: the last part of the cohort's URL in Amplitude.",
        ),
        "segment_conn_ids": Param(
            default=["segment_default"],
            type="array",
            minItems=1,
            examples=["segment_default", "segment_emea"],
            title="Destinations",
            description="Segment connections that the cohort was told to, one for each source.",
        ),
        "dry_run": Param(
            default=True,
            type="boolean",
            title="Dry run",
            description="Only count, and list whom it would tell; nothing is sent and nothing forgotten.",
        ),
        "app_id": Param(
            default=None,
            type=["null", "string"],
            title="Amplitude project",
            description="Its number; only where several projects have told a cohort of this ID.",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            title="When a part of the state was lost",
            description="fail, or full: go on with what is left; who is named in the lost part stays true.",
            section="Advanced",
        ),
        "events_per_second": Param(
            default=1000,
            type=["null", "number"],
            minimum=1,
            title="MessageChunk a second",
            description="The pace Segment is told at; a workspace takes about 1,000. Empty: no limit.",
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
