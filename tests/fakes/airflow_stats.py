"""Airflow's metrics as a worker sets them up: 3.x does that where a task's process begins, ``dag.test()`` never."""

import importlib

from airflow.configuration import conf


def initialize_stats() -> None:
    """Do what Airflow 3.3's task runner does first; earlier lines read their configuration by themselves."""
    try:
        stats = importlib.import_module("airflow.sdk.observability.stats")
        utils = importlib.import_module("airflow.sdk.observability.metrics.stats_utils")
    except ModuleNotFoundError:
        # Airflow 2.11 reads it when it is imported, which a warm Python did in another environment.
        stats = importlib.import_module("airflow.stats")
        del stats._Stats.factory
        stats.Stats.instance = None
        stats._Stats.__init__(stats.Stats)
        return
    if not hasattr(stats, "initialize"):
        return
    stats.initialize(
        factory=utils.get_stats_factory(), export_legacy_names=conf.getboolean("metrics", "legacy_names_on")
    )
