"""Airflow's metrics as a worker sets them up: 3.x does that where a task's process begins, ``dag.test()`` never."""

import importlib

from airflow.configuration import conf


def initialize_stats() -> None:
    """Do what Airflow 3's task runner does first; 2.11 reads its configuration by itself."""
    try:
        stats = importlib.import_module("airflow.sdk.observability.stats")
        utils = importlib.import_module("airflow.sdk.observability.metrics.stats_utils")
    except ModuleNotFoundError:
        return
    stats.initialize(
        factory=utils.get_stats_factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on")
    )
