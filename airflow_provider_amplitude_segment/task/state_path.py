"""Find the place of the ledgers: the parameter, else the configuration, else a folder in Airflow's home."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_amplitude_segment.hooks.state_root import local_path
from airflow_provider_amplitude_segment.task.parameters import is_none

_EXECUTORS_OF_ONE_MACHINE = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})


def state_place(state_path: object) -> str:
    """Return the place of all ledgers, as text that another process can open.

    :param state_path: the operator's parameter. None means ``[amplitude_segment] state_path``; if that is empty too,
        the folder ``amplitude_segment`` in ``AIRFLOW_HOME``.
    """
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - not while a DAG is parsed
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    if is_none(state_path):
        state_path = conf.get("amplitude_segment", "state_path", fallback="") or ""
    if is_none(state_path):
        return str(Path(AIRFLOW_HOME) / "amplitude_segment")
    return str(state_path).strip()


def is_local_to_worker(place: str, executors: str) -> bool:
    """Return whether the ledgers are on one machine's own disk while tasks may run on several machines.

    A folder under a mount may be on a shared file system. A folder on the root file system belongs to this machine or
    container alone.

    :param place: of all ledgers, as ``state_place`` returns it.
    :param executors: ``[core] executor``: names or classes, separated by commas, and by teams where there are any.

    >>> is_local_to_worker("/opt/airflow/amplitude_segment", "LocalExecutor")
    False
    """
    names = {name.rpartition(".")[2] for name in re.split(r"[,;:=\s]+", executors)}
    spread = {name for name in names if name.endswith("Executor")} - _EXECUTORS_OF_ONE_MACHINE
    root = local_path(place) if spread else None
    return root is not None and not any(folder.is_mount() for folder in [root, *root.parents][:-1])
