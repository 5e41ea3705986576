"""Sync every Amplitude cohort whose name fits a pattern to Segment, each in a task of its own.

Each cohort spends one of the month's exports in each run. A cohort that gets such a name in Amplitude is
synced from the next run on. One that loses it, or is archived, is synced no more; Segment keeps what it was
told until somebody triggers `amplitude_segment_retire` for it.

**To change:** the defaults of `cohort_name` and `cohort_owner` (`*` is any text, `?` any character).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    dag_id="amplitude_segment_many_cohorts",
    doc_md=__doc__,
    # Airflow 3 calls `schedule_interval` `schedule`; 2.11 takes `schedule` too.
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "cohort_name": Param(
            default="Lifecycle: *",
            type="string",
            minLength=1,
            title="Cohort names",
            description="A pattern: * is any text, ? any character.",
        ),
        "cohort_owner": Param(
            default="*",
            type="string",
            minLength=1,
            title="Cohort owner",
            description="A pattern of the same kind for an owner's e-mail address in Amplitude; * is anybody.",
        ),
        # The guards, so that a sync that was refused can be let through once from the UI.
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may leave",
            description="Refuse to tell Segment when more than this share of the members would leave. Empty: no limit.",
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
        "on_trait_change": Param(
            default="retire",
            type="string",
            enum=["retire", "keep", "take-over"],
            title="When the trait has another name",
            description="retire the old one, keep it, or take-over: retire it although another task sends it.",
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
    },
) as dag:

    @task
    def list_cohorts(name: str, owner: str) -> list[dict[str, Any]]:
        """Return what the operator is mapped over: the cohorts whose names, and one of whose owners, fit."""
        return AmplitudeHook().map_cohorts(name=name, owner=owner)

    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync_cohort",
        # The cohort's name and ID; the list sets it.
        map_index_template="{{ params.cohort_label }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        min_exports_left="{{ params.min_exports_left }}",
        # Segment takes about 1,000 events a second of a workspace: two tasks at once, half of it each.
        max_active_tis_per_dag=2,
        events_per_second=500,
        # In production, keep the state where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    ).expand_kwargs(list_cohorts("{{ params.cohort_name }}", "{{ params.cohort_owner }}"))
