"""Sync the Amplitude cohort that is chosen in the trigger form.

Runs when somebody triggers it; the form asks for the cohort, where to send it, and how. Try a **dry run**
first: it says how many would enter and exit, and sends nothing.

**To change:** the cohort and the connections that the form offers.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    dag_id="amplitude_segment_ad_hoc",
    doc_md=__doc__,
    # Airflow 3 calls `schedule_interval` `schedule`; 2.11 takes `schedule` too. None: only when triggered.
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "cohort_id": Param(
            default="26umsb5",
            type="string",
            minLength=1,
            title="Cohort ID",
            description="The last part of the cohort's URL in Amplitude.",
        ),
        "segment_conn_ids": Param(
            default=["segment_default"],
            type="array",
            examples=["segment_default", "segment_emea"],
            title="Destinations",
            description="Segment connections, one for each source.",
        ),
        "sync_mode": Param(
            default="incremental",
            type="string",
            enum=["incremental", "full"],
            title="Mode",
            description="incremental: only who moved. full: every member, and everyone who ever was one.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Only count; nothing is sent. Spends an export.",
        ),
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may leave",
            description="More than this: nothing is sent and the run fails. Empty: no limit.",
            section="Advanced",
        ),
        "on_empty_cohort": Param(
            default="fail",
            type="string",
            enum=["fail", "sync", "skip"],
            title="When the cohort is suddenly empty",
            description="fail, sync (tell everyone that they left), or skip the run.",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            title="When the state was lost, or a write key changed",
            description="fail, or full: tell everyone anew.",
            section="Advanced",
        ),
        "min_exports_left": Param(
            default=0,
            type="integer",
            minimum=0,
            title="Exports that must be left",
            description="Fewer left this month in Amplitude: nothing is exported and the run fails.",
            section="Advanced",
        ),
        "events_per_second": Param(
            1000,
            type=["null", "number"],
            minimum=1,
            title="Identifies a second",
            description="The pace Segment is told at; a workspace takes about 1,000. Empty: no limit.",
            section="Advanced",
        ),
    },
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="{{ params.cohort_id }}",
        segment_conn_id="{{ params.segment_conn_ids }}",
        sync_mode="{{ params.sync_mode }}",
        dry_run="{{ params.dry_run }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        min_exports_left="{{ params.min_exports_left }}",
        events_per_second="{{ params.events_per_second }}",
        # In production, keep the state where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
