"""Forty cohorts, each with an asset, a watcher and a DAG of its own. It is read only where Airflow has watchers."""

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow.sdk import AssetWatcher

from airflow_provider_amplitude_segment.triggers.cohort_change import AmplitudeCohortChangeTrigger


@task
def read_event(triggering_asset_events: Any = None) -> list[str]:
    """Return the cohort IDs of the events that started this run."""
    return [event.extra["payload"]["cohort_id"] for events in triggering_asset_events.values() for event in events]


for number in range(40):
    cohort_id = f"cohort{number:02}"
    watcher = AssetWatcher(
        name=f"watch-{cohort_id}", trigger=AmplitudeCohortChangeTrigger([cohort_id], poll_interval=2)
    )
    with DAG(
        dag_id=f"on_{cohort_id}",
        schedule=[Asset(f"x-amplitude://test/{cohort_id}", watchers=[watcher])],
        start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=False,
    ):
        read_event()
