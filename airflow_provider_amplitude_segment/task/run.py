"""Identify the run that syncs, and read its configuration, from Airflow's context."""

from __future__ import annotations

import hashlib
import json
import socket
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.stream import Run
from airflow_provider_amplitude_segment.task.installation import installation_of_task

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def configuration_of(context: Context) -> dict[str, Any]:
    """Return the part of the DAG run's configuration that sets parameters of the DAG.

    Other values are left out, because a guard's message shows the configuration and they may be secret.
    """
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    known = context.get("params") or {}
    try:
        return dict(json.loads(json.dumps({name: value for name, value in conf.items() if name in known})))
    except (TypeError, ValueError):
        return {}


def run_of(context: Context) -> Run:
    """Return the run that syncs: equal for all tries of one task instance, different for any other (ADR 0017)."""
    ti, dag_run = context["ti"], context.get("dag_run")
    map_index = getattr(ti, "map_index", -1)
    installation = installation_of_task()
    label = f"DAG {ti.dag_id!r}, run {ti.run_id!r}, task {ti.task_id!r}"
    if map_index >= 0:
        label += f", map index {map_index}"
    started = getattr(dag_run, "start_date", None)
    return Run(
        label=f"{label} in Airflow {installation.label!r} on host {socket.gethostname()!r}",
        key=_hash(installation.identity, ti.dag_id, ti.run_id, ti.task_id, map_index),
        try_number=ti.try_number,
        # As a number, because zones and databases format the same moment differently.
        started_at=f"{started.timestamp():.6f}" if started is not None else "",
        clear_number=getattr(dag_run, "clear_number", None) or 0,
        dag_run=_hash(installation.identity, ti.dag_id, ti.run_id),
        task=f"DAG {ti.dag_id!r}, task {ti.task_id!r}",
        installation=_hash(installation.identity),
        airflow=installation.label,
        max_tries=getattr(ti, "max_tries", None) or 0,
    )


def _hash(*identity: object) -> str:
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
