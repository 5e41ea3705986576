"""Sync every Amplitude cohort whose name matches a pattern to Segment, each in its own task.

Each cohort spends one of the month's exports in each run. A cohort that gets a matching name in Amplitude is
synced from the next run on. A cohort that loses the name, or is archived, is no longer synced: its last members
stay `true` in Segment until you trigger `amplitude_segment_retire` for it.

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
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`.
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
            description="A pattern of the same kind for an owner's e-mail address in Amplitude; * is any owner.",
        ),
        # The guards are Params, so that you can let a refused sync through once from the UI.
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may exit",
            description="If a larger share would exit, nothing is sent and the run fails. Empty: no limit.",
            section="Advanced",
        ),
        "on_empty_cohort": Param(
            default="fail",
            type="string",
            enum=["fail", "sync", "skip"],
            title="When the cohort is suddenly empty",
            description="fail, sync (send false for all known members), or skip the run.",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            title="When the state is missing, or a write key changed",
            description="fail, or full: send all members again.",
            section="Advanced",
        ),
        "on_trait_change": Param(
            default="retire",
            type="string",
            enum=["retire", "keep", "take-over"],
            title="When the trait's name changed",
            description="retire the old trait, keep it, or take-over: retire it even if another task sends it.",
            section="Advanced",
        ),
        "min_exports_left": Param(
            default=0,
            type="integer",
            minimum=0,
            title="Exports that must be left",
            description="If Amplitude reports fewer for this month, nothing is exported and the run fails.",
            section="Advanced",
        ),
    },
) as dag:

    @task
    def list_cohorts(name: str, owner: str) -> list[dict[str, Any]]:
        """Return the arguments of the mapped tasks: one for each cohort whose name and owner match."""
        return AmplitudeHook().map_cohorts(name=name, owner=owner)

    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync_cohort",
        # The cohort's name and ID, which `list_cohorts` sets.
        map_index_template="{{ params.cohort_label }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        min_exports_left="{{ params.min_exports_left }}",
        # Segment accepts about 1,000 events a second in a workspace: two tasks at once, half of it each.
        max_active_tis_per_dag=2,
        events_per_second=500,
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    ).expand_kwargs(list_cohorts("{{ params.cohort_name }}", "{{ params.cohort_owner }}"))
