"""Lineage and metrics of a real run: what OpenLineage's file and a StatsD on loopback got, blocking and deferred."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fakes.dag_process import run_dag_in_process
from fakes.statsd import StatsD

from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("forgetful_airflow")

_DAG = """
import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG("other_destinations", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), catchup=False):
    AmplitudeCohortToSegmentOperator(task_id="sync", cohort_id="c1", poll_interval=0.1, min_exports_left=1)
"""


class PublishedRun:
    """A run of the DAG, with the lineage and the metrics that it published."""

    def __init__(self, folder: Path, sandbox: Sandbox, *, deferrable: bool = False) -> None:
        file, events = folder / "other_destinations.py", folder / "lineage.jsonl"
        file.write_text(_DAG)
        connections = sandbox.airflow_connections()
        segment = json.loads(connections["AIRFLOW_CONN_SEGMENT_DEFAULT"])
        extra = {"workspace": "acme", "source": "production"}
        with StatsD() as statsd:
            environment = {
                **connections,
                "AIRFLOW_CONN_SEGMENT_DEFAULT": json.dumps({**segment, "extra": extra}),
                "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(folder / "state"),
                "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": str(deferrable),
                "AIRFLOW__METRICS__STATSD_ON": "True",
                "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
                "AIRFLOW__METRICS__STATSD_PORT": str(statsd.port),
                "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
                "AIRFLOW__OPENLINEAGE__DISABLED": "False",
                "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                    {"type": "file", "log_file_path": str(events), "append": True}
                ),
            }
            self.state = run_dag_in_process(file, environment)
            prefix = "airflow.amplitude_segment."
            self.metrics = {
                name.removeprefix(prefix): value for name, value in statsd.metrics().items() if name.startswith(prefix)
            }
        self.text = events.read_text()
        self._events = [json.loads(line) for line in self.text.splitlines()]

    def event(self, kind: str) -> dict[str, Any]:
        """Return the task's last event of a kind."""
        found = [e for e in self._events if e["eventType"] == kind and e["job"]["name"] == "other_destinations.sync"]
        assert found, f"no {kind} of the task"
        return dict(found[-1])


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
def test_a_run_is_told_to_openlineage_and_to_statsd(deferrable: bool, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1 if deferrable else 0
    run = PublishedRun(tmp_path, sandbox, deferrable=deferrable)

    assert run.state == "success"
    address = sandbox.url.removeprefix("http://")
    (cohort,) = run.event("START")["inputs"]
    assert (cohort["namespace"], cohort["name"]) == (f"amplitude://{address}", "cohort/c1")
    complete = run.event("COMPLETE")
    (cohort,), (trait,) = complete["inputs"], complete["outputs"]
    assert (cohort["namespace"], cohort["name"]) == (f"amplitude://{address}", "cohort/c1")
    assert cohort["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert "Power Users" in cohort["facets"]["documentation"]["description"]
    assert (trait["namespace"], trait["name"]) == (f"segment://{address}", "acme/production/Power Users (c1)")
    assert trait["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert "errorMessage" not in complete["run"]["facets"]

    both = "cohort_id=c1,segment_conn_id=segment_default"
    metrics = run.metrics
    assert metrics.pop(f"duration,{both}").endswith("|ms")
    assert metrics.pop("exports_left,cohort_id=c1").endswith("|g")
    assert metrics == {
        "syncs_succeeded,cohort_id=c1": "1|c",
        "members,cohort_id=c1": "2|g",
        "anonymous,cohort_id=c1": "1|g",
        f"entered,{both}": "2|c",
        f"acknowledged,{both}": "2|c",
        f"batches,{both}": "1|c",
        f"pending,{both}": "0|g",
        f"known,{both}": "2|g",
        f"skipped,{both}": "0|g",
    }


def test_a_run_that_fails_tells_what_segment_said_and_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.add(Fault(on="segment.batch", status=501))

    run = PublishedRun(tmp_path, sandbox)

    assert run.state == "failed"
    failed = run.event("FAIL")
    assert "HTTP 501" in failed["run"]["facets"]["errorMessage"]["message"]
    assert failed["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 0
    both = "cohort_id=c1,segment_conn_id=segment_default"
    assert run.metrics["syncs_failed,cohort_id=c1"] == "1|c"
    assert run.metrics[f"pending,{both}"] == "2|g"
    assert f"entered,{both}" not in run.metrics
    for connection in sandbox.airflow_connections().values():
        fields = json.loads(connection)
        for secret in filter(None, (fields.get("login"), fields.get("password"))):
            assert secret not in run.text
