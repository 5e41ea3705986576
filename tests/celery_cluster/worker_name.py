"""The name of the machine that an Airflow process believes to run on, for ``[core] hostname_callable``."""

import os

WORKER_NAME = "CELERY_CLUSTER_WORKER"


def worker_name() -> str:
    """Return the worker's own name, as if each had a machine to itself."""
    return os.environ.get(WORKER_NAME, "control")
