"""Start something when a cohort changed in Segment, and nothing when nobody moved.

The first DAG syncs a cohort and declares an asset as its outlet; with `skip_when_unchanged` its task ends skipped when
there was nothing to tell, so that no asset event goes out. The second DAG starts on that asset, and reads from the
event how many users moved.

**To change:** `cohort_id`, the asset's URI (any that is yours), and what `report_change` does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# Airflow 2.11 calls it a dataset. On Airflow 3 alone: `from airflow.sdk import Asset`.
AT_RISK_IN_SEGMENT = Asset("x-segment://production/at-risk-of-leaving")

with DAG(
    dag_id="amplitude_segment_on_change",
    doc_md=__doc__,
    # Airflow 3 calls `schedule_interval` `schedule`; 2.11 takes `schedule` too.
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
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
        # In production, keep the state where every worker reaches it: set [amplitude_segment] state_path,
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
        """Add up who moved in all syncs since the last run; Airflow 2.11 gives the events under the second name.

        ``acknowledged`` counts also those who are told again, as a sync before failed.
        """
        moved = {"entered": 0, "exited": 0, "acknowledged": 0}
        # Triggered by hand there are no events, and one that was made by hand has no counts.
        for events in (triggering_asset_events or triggering_dataset_events or {}).values():
            for event in events:
                # The whole list is in docs/observability.md: cohort_name, members, rejected, …
                for count in moved:
                    moved[count] += event.extra.get(count, 0)
        return moved

    report_change()
