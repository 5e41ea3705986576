"""Redis, PostgreSQL, an S3 server, the sandbox and Airflow on Celery: started once, and stopped however it ends."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from celery_cluster.celery_airflow import CeleryAirflow
from celery_cluster.many_cohorts import ManyCohorts
from celery_cluster.postgres_server import PostgresServer
from celery_cluster.redis_server import RedisServer

from airflow_provider_amplitude_segment.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fakes.s3_server import S3Server

_POOLS = {"amplitude_exports": ["--include-deferred"], "amplitude_exports_deferred_uncounted": []}
_EXPORTS_AT_ONCE = "4"


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[ManyCohorts]:
    """Start all of it. The state is on S3 alone: each worker has a disk of its own."""
    # Whoever ends this session with SIGTERM gets everything stopped, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = tmp_path_factory.mktemp("celery")
    s3_server.make_bucket("cluster")
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.start(cohorts=[], keep_messages=True))
        redis = stack.enter_context(RedisServer())
        postgres = stack.enter_context(PostgresServer())
        env = {
            **sandbox.airflow_connections(),
            "AIRFLOW_CONN_LEDGER_STORE": s3_server.connection(),
            "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": "s3://ledger_store@cluster/amplitude-segment",
        }
        dags = Path(__file__).parent / "dags"
        airflow = stack.enter_context(CeleryAirflow(home, dags, env, redis=redis, postgres=postgres))
        for pool, flags in _POOLS.items():
            airflow.command("pools", "set", pool, _EXPORTS_AT_ONCE, "Exports of Amplitude at once", *flags)
        airflow.wait_for_dags("many_cohorts", "many_cohorts_deferred_uncounted")
        yield ManyCohorts(airflow, sandbox)


@pytest.fixture
def cluster(running_cluster: ManyCohorts) -> ManyCohorts:
    """Return the running cluster; Amplitude and Segment have forgotten what came before."""
    running_cluster.sandbox.faults.clear()
    running_cluster.sandbox.amplitude.cohorts.clear()
    running_cluster.sandbox.amplitude.forget()
    running_cluster.sandbox.segment.forget()
    return running_cluster
