"""Start a DAG when a cohort changed in Segment.

The first DAG syncs a cohort and declares an asset as its outlet. With `skip_when_unchanged` its task is skipped after a
sync without changes, so that no asset event is created. The second DAG starts on that asset, and reads the counts from
the event.

**To change:** `cohort_id`, the asset's URI (any of your own), and `report_change`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# Airflow 2.11 calls assets datasets. If you run only Airflow 3: `from airflow.sdk import Asset`.
AT_RISK_IN_SEGMENT = Asset("x-segment://production/at-risk-of-leaving")

with DAG(
    dag_id="amplitude_segment_on_change",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`.
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
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
    },
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="26umsb5",
        outlets=[AT_RISK_IN_SEGMENT],
        skip_when_unchanged=True,
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )

with DAG(
    dag_id="amplitude_segment_after_change",
    doc_md=__doc__,
    schedule=[AT_RISK_IN_SEGMENT],
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["amplitude", "segment"],
) as consumer:

    @task
    def report_change(triggering_asset_events: Any = None, triggering_dataset_events: Any = None) -> dict[str, int]:
        """Sum the counts of all syncs since the last run; Airflow 2.11 passes the events under the second name.

        ``acknowledged`` includes users who were sent again because an earlier sync failed.
        """
        sums = {"entered": 0, "exited": 0, "acknowledged": 0}
        # A manual run has no events, and an event that was created by hand has no counts.
        for events in (triggering_asset_events or triggering_dataset_events or {}).values():
            for event in events:
                # docs/reference/observability.md lists all counts: members, rejected, known, …
                for count in sums:
                    sums[count] += event.extra.get(count, 0)
        return sums

    report_change()
