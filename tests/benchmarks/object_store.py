"""An object store: the requests and the bytes of a sync whose ledger is in a bucket.

The server is moto, so the figures have no times: those are the store's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.s3_server import S3Server

from benchmarks.growth import CHURN, CHURNED, FIRST, UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workbench import Workbench

STATE = "s3://aws_default@benchmark/state"


def measure_object_store(bench: Workbench, members: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each kind of sync, one after the other on one ledger."""
    export, moved = bench.export(members), bench.export(members, first=max(1, round(members * CHURN / 2)))
    rows = []
    with S3Server() as server:
        server.make_bucket("benchmark")
        connections = {**bench.sink.connections(), "AIRFLOW_CONN_AWS_DEFAULT": server.connection()}
        for work, file in ((FIRST, export), (UNCHANGED, export), (CHURNED, moved)):
            server.traffic()
            bench.sync(STATE, file, work, connections=connections)
            traffic = server.traffic()
            row = {"work": work, "members": members, "identifies": bench.sink.arrivals().identifies, **traffic}
            rows.append(row)
            say(
                f"{members:,} members in a bucket, {work}: {row['put']} put, {row['get']} get, {row['list']} list, "
                f"{row['other']} other, {row['bytes_up'] / 1e6:.1f} MB up, {row['bytes_down'] / 1e6:.1f} MB down"
            )
    return rows
