"""Sync cohorts to Segment when Amplitude has computed them again, not by the clock.

A watcher reads Amplitude's list of cohorts every five minutes, which costs no export. A cohort that was computed
again or renamed, or has another size, starts a run, and the run syncs the cohorts that changed. A run that you trigger
by hand syncs all of `COHORTS`. A cohort that Amplitude does not compute by itself starts no run. Watchers need
Airflow 3; on 2.11 this DAG runs only by hand.

Each sync spends an export. An export may count as a computation, so `quiet_seconds` keeps it from starting the next
run, and the DAG is paused after three runs that failed one after another.

**To change:** `COHORTS`, and the asset's URI (any of your own).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
from airflow_provider_amplitude_segment.triggers.cohort_change import AmplitudeCohortChangeTrigger

try:
    from airflow.sdk import AssetWatcher
except ImportError:  # Airflow 2.11 has no watchers
    AssetWatcher = None

COHORTS = ["26umsb5", "7khm89cz"]

if AssetWatcher is None:
    SCHEDULE = None
else:
    # Half an hour is longer than from an event to the end of its run's export, and shorter than the hour after which
    # Amplitude computes a cohort again.
    recomputed = AmplitudeCohortChangeTrigger(COHORTS, quiet_seconds=1800)
    watcher = AssetWatcher(name="recomputed_cohorts", trigger=recomputed)
    SCHEDULE = [Asset("x-amplitude://production/recomputed-cohorts", watchers=[watcher])]

with DAG(
    dag_id="amplitude_segment_on_recompute",
    doc_md=__doc__,
    schedule=SCHEDULE,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    max_consecutive_failed_dag_runs=3,
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

    @task
    def list_changed(triggering_asset_events: Any = None) -> list[str]:
        """Return the cohorts whose changes started this run, each once; all of them in a run started by hand."""
        if not triggering_asset_events:
            return COHORTS
        payloads = [event.extra["payload"] for events in triggering_asset_events.values() for event in events]
        # An archived cohort cannot be exported: example amplitude_segment_retire.
        return list(dict.fromkeys(payload["cohort_id"] for payload in payloads if not payload["archived"]))

    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync_cohort",
        map_index_template="{{ task.cohort_id }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        # Segment accepts about 1,000 events a second in a workspace: two tasks at once, half of it each.
        max_active_tis_per_dag=2,
        events_per_second=500,
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    ).expand(cohort_id=list_changed())
