"""Who is syncing, and with which configuration: read from Airflow's context."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.stream import Run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def configuration_of(context: Context) -> dict[str, Any]:
    """Return the configuration that the DAG run was triggered with, as far as it sets parameters of the DAG.

    Whatever else was sent along may be secret, and a guard's message shows this.
    """
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    known = context.get("params") or {}
    try:
        return dict(json.loads(json.dumps({name: value for name, value in conf.items() if name in known})))
    except (TypeError, ValueError):
        return {}


def run_of(context: Context) -> Run:
    """Return who is syncing; the same for each try of a task instance, and for no other."""
    ti = context["ti"]
    map_index = getattr(ti, "map_index", -1)
    identity = [ti.dag_id, ti.run_id, ti.task_id, map_index]
    label = f"DAG {ti.dag_id!r}, run {ti.run_id!r}, task {ti.task_id!r}"
    return Run(
        label=label if map_index < 0 else f"{label}, map index {map_index}",
        key=hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32],
        try_number=ti.try_number,
    )
