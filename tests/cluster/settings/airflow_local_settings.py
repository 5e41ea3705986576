"""Airflow's local settings: let the scheduler import what each task imports, before it forks the workers."""

import functools
import importlib
import os
import pkgutil
import sys

import airflow_provider_amplitude_segment as provider

__all__: list[str] = []


@functools.cache
def _import_provider() -> None:
    for module in pkgutil.walk_packages(provider.__path__, f"{provider.__name__}."):
        # The routes of the pages are the API server's, and Airflow 2.11 and 3.0 have nothing to import them on.
        if not any(part in module.name for part in (".sandbox", ".ui.", "__main__")):
            importlib.import_module(module.name)


if "scheduler" in sys.argv:
    # Not now, because Airflow is still initializing itself.
    os.register_at_fork(before=_import_provider)
