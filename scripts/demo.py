"""``make demo``: a cohort reaches Segment on a real Airflow, first in full, then only who moved.

Starts the sandbox and ``airflow standalone`` (SQLite), runs the daily example twice with a churn between, then carries
200,000 members at once without a pace. Ends by comparing what Segment believes with the cohorts; exits 1 if they
differ. Everything it starts is stopped, everything it writes is below ``.demo``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from standalone import Standalone, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
DAILY, AD_HOC = "amplitude_segment_daily", "amplitude_segment_ad_hoc"
COHORT, LARGE_COHORT = "26umsb5", "7khm89cz"
TASK = "sync_cohort"
LARGE_MEMBERS = 200_000
ENTER, LEAVE = 350, 250


@contextmanager
def running_sandbox() -> Iterator[tuple[str, dict[str, str]]]:
    """Start the sandbox as users do; yield its URL and the connections it prints."""
    port = free_port()
    command = [sys.executable, "-m", "airflow_provider_amplitude_segment.sandbox"]
    process = subprocess.Popen(
        [*command, "--port", str(port), "--members", str(LARGE_MEMBERS)], stdout=subprocess.PIPE, text=True
    )
    try:
        printed = ""
        while "Stop it with Ctrl-C" not in printed:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError("the sandbox did not start")
            printed += line
        yield f"http://127.0.0.1:{port}", dict(re.findall(r"export (AIRFLOW_CONN_\w+)='(.*)'", printed))
    finally:
        process.terminate()
        process.wait(timeout=15)


def show(title: str, report: dict[str, Any]) -> None:
    """Print a report for people."""
    destination = report["destinations"][0]
    seconds = destination["seconds"]
    rate = f", {destination['acknowledged'] / seconds:,.0f} a second" if seconds else ""
    print(f"\n{title}")
    print(f"  cohort      {report['cohort_name']} ({report['cohort_id']})")
    print(
        f"  export      {report['rows']:,} rows: {report['members']:,} members, {report['anonymous']:,} anonymous "
        f"(skipped), {report['duplicates']:,} duplicates"
    )
    print(f"  trait       {destination['trait']}")
    print(
        f"  moved       {destination['entered']:,} entered, {destination['exited']:,} exited, "
        f"{destination['unchanged']:,} unchanged"
    )
    print(
        f"  identifies  {destination['planned']:,} planned = {destination['acknowledged']:,} acknowledged + "
        f"{destination['rejected']:,} rejected + {destination['pending']:,} pending"
    )
    print(f"  delivery    {destination['batches']:,} batches in {seconds:,.1f} s{rate}")


def last_report(airflow: Standalone, dag_id: str) -> dict[str, Any]:
    """Return the report of the DAG's last run, and refuse a run that failed."""
    run = airflow.runs(dag_id)[-1]
    report: dict[str, Any] | None = airflow.xcom(dag_id, run["dag_run_id"], TASK, "sync_report")
    if run["state"] != "success" or report is None:
        raise RuntimeError(f"run {run['dag_run_id']} of {dag_id} ended {run['state']}; logs: {airflow.home / 'logs'}")
    return report


def compare(sandbox: str, cohort_id: str) -> bool:
    """Hold what Segment believes against the cohort, and say how that came out."""
    compared = requests.get(f"{sandbox}/sandbox/compare", params={"cohort_id": cohort_id}, timeout=60).json()
    verdict = "the same" if compared["equal"] else "DIFFERENT"
    print(
        f"  {compared['trait']}: {compared['members']:,} in the cohort, {compared['believed']:,} in Segment, "
        f"{compared['missing']:,} missing, {compared['surplus']:,} too many: {verdict}"
    )
    return bool(compared["equal"])


def sync_twice(airflow: Standalone, sandbox: str) -> bool:
    """Run the daily example, churn its cohort, run it again; return whether Segment ended right."""
    airflow.trigger(DAILY, {"cohort_id": COHORT})
    first = airflow.xcom(DAILY, airflow.runs(DAILY)[0]["dag_run_id"], TASK, "sync_report")
    last_report(airflow, DAILY)
    show("First sync: everyone is told", first)
    churned = requests.post(
        f"{sandbox}/sandbox/cohorts/{COHORT}/churn", json={"enter": ENTER, "exit": LEAVE}, timeout=60
    ).json()
    print(f"\n... the cohort churns: {churned['entered']:,} users enter, {churned['exited']:,} leave ...")
    airflow.trigger(DAILY, {"cohort_id": COHORT})
    second = last_report(airflow, DAILY)
    show("Second sync: only movers are told", second)
    moved = second["destinations"][0]
    return (moved["entered"], moved["exited"], moved["planned"]) == (ENTER, LEAVE, ENTER + LEAVE)


def sync_many(airflow: Standalone) -> None:
    """Carry the large cohort at once, without a pace, and show what it cost."""
    with airflow.watch_memory() as memory:
        airflow.trigger(AD_HOC, {"cohort_id": LARGE_COHORT, "events_per_second": None})
    show(f"{LARGE_MEMBERS:,} members at once, without a pace", last_report(airflow, AD_HOC))
    print(
        f"  memory      {memory.peak_rss_mib:,.0f} MiB at most for the task process, "
        f"{memory.peak_mib:,.0f} MiB of them not shared with Airflow's worker"
    )


def main() -> int:
    """Run the demo; 0 where Segment believes exactly the cohorts."""
    home = ROOT / ".demo"
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    with running_sandbox() as (sandbox, connections):
        print("The sandbox stands in for Amplitude and Segment; starting Airflow (SQLite) takes up to a minute ...")
        state = {"AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(home / "state")}
        with Standalone(home / "airflow", ROOT / "example_dags", {**connections, **state}) as airflow:
            airflow.wait_for_dags(DAILY, AD_HOC)
            print(f"Airflow runs after {time.monotonic() - began:,.0f} s.")
            moved_only = sync_twice(airflow, sandbox)
            sync_many(airflow)
            print("\nWhat Segment believes, compared with the cohorts")
            equal = [compare(sandbox, cohort_id) for cohort_id in (COHORT, LARGE_COHORT)]
    print(f"\nAll that was started is stopped, after {time.monotonic() - began:,.0f} s.")
    if not moved_only:
        print("The second sync did not tell exactly the movers.")
    return 0 if all(equal) and moved_only else 1


if __name__ == "__main__":
    sys.exit(main())
