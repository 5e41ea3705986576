"""``make demo``: sync a cohort to Segment on a real Airflow, first all members, then only the changes.

Starts the sandbox and ``airflow standalone`` (SQLite), runs the daily example twice with a churn between, then syncs
200,000 members at once without a rate limit. A third sync of the small cohort is verified by Segment's own APIs. At the
end it compares what Segment believes with the cohorts, and exits with 1 if they differ. It stops everything that it
starts, and writes only below ``.demo``.
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
DAILY, AD_HOC, VERIFIED = "amplitude_segment_daily", "amplitude_segment_ad_hoc", "amplitude_segment_verified"
COHORT, LARGE_COHORT = "26umsb5", "7khm89cz"
TASK = "sync_cohort"
LARGE_MEMBERS = 200_000
ENTER, EXIT = 350, 250


@contextmanager
def running_sandbox() -> Iterator[tuple[str, dict[str, str]]]:
    """Start the sandbox from the command line; yield its URL and the connections that it prints."""
    port = free_port()
    command = [sys.executable, "-m", "airflow_provider_amplitude_segment.sandbox"]
    process = subprocess.Popen(
        [*command, "--proved", "--port", str(port), "--members", str(LARGE_MEMBERS)], stdout=subprocess.PIPE, text=True
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
    """Print a report."""
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
        f"  changes     {destination['entered']:,} entered, {destination['exited']:,} exited, "
        f"{destination['unchanged']:,} unchanged"
    )
    print(
        f"  identifies  {destination['planned']:,} planned = {destination['acknowledged']:,} acknowledged + "
        f"{destination['rejected']:,} rejected + {destination['pending']:,} pending"
    )
    print(f"  delivery    {destination['batches']:,} batches in {seconds:,.1f} s{rate}")


def last_report(airflow: Standalone, dag_id: str) -> dict[str, Any]:
    """Return the report of the DAG's last run; raise if the run failed."""
    run = airflow.runs(dag_id)[-1]
    report: dict[str, Any] | None = airflow.xcom(dag_id, run["dag_run_id"], TASK, "sync_report")
    if run["state"] != "success" or report is None:
        raise RuntimeError(f"run {run['dag_run_id']} of {dag_id} ended {run['state']}; logs: {airflow.home / 'logs'}")
    return report


def compare(sandbox: str, cohort_id: str) -> bool:
    """Compare what Segment believes with the cohort, and print the result."""
    compared = requests.get(f"{sandbox}/sandbox/compare", params={"cohort_id": cohort_id}, timeout=60).json()
    result = "the same" if compared["equal"] else "DIFFERENT"
    print(
        f"  {compared['trait']}: {compared['members']:,} in the cohort, {compared['believed']:,} in Segment, "
        f"{compared['missing']:,} missing, {compared['surplus']:,} too many: {result}"
    )
    return bool(compared["equal"])


def sync_twice(airflow: Standalone, sandbox: str) -> bool:
    """Run the daily example, churn its cohort, run it again; return whether the second run sent only the changes."""
    airflow.trigger(DAILY, {"cohort_id": COHORT})
    first = airflow.xcom(DAILY, airflow.runs(DAILY)[0]["dag_run_id"], TASK, "sync_report")
    last_report(airflow, DAILY)
    show("First sync: all members are sent", first)
    churned = requests.post(
        f"{sandbox}/sandbox/cohorts/{COHORT}/churn", json={"enter": ENTER, "exit": EXIT}, timeout=60
    ).json()
    print(f"\n... the cohort churns: {churned['entered']:,} users enter, {churned['exited']:,} exit ...")
    airflow.trigger(DAILY, {"cohort_id": COHORT})
    second = last_report(airflow, DAILY)
    show("Second sync: only changes are sent", second)
    counts = second["destinations"][0]
    return (counts["entered"], counts["exited"], counts["planned"]) == (ENTER, EXIT, ENTER + EXIT)


def sync_many(airflow: Standalone) -> None:
    """Sync the large cohort at once, without a rate limit, and show the time and memory."""
    with airflow.watch_memory() as memory:
        airflow.trigger(AD_HOC, {"cohort_id": LARGE_COHORT, "events_per_second": None})
    show(f"{LARGE_MEMBERS:,} members at once, without a rate limit", last_report(airflow, AD_HOC))
    print(
        f"  memory      {memory.peak_rss_mib:,.0f} MiB at most for the task process, "
        f"{memory.peak_mib:,.0f} MiB of them not shared with Airflow's worker"
    )


def start_verified(airflow: Standalone, sandbox: str) -> None:
    """Churn the small cohort, and start a sync of it that is verified, after a minute in which Segment settles."""
    requests.post(f"{sandbox}/sandbox/cohorts/{COHORT}/churn", json={"enter": ENTER, "exit": EXIT}, timeout=60)
    airflow.start_run(VERIFIED, {"settle_seconds": 1})


def show_verified(airflow: Standalone) -> bool:
    """Show the verified sync; return whether Segment has all users of the sample as the ledger says."""
    airflow.wait_for_runs(VERIFIED)
    # Unpaused, the DAG has a scheduled run besides; one of the two sent the changes.
    runs = [run["dag_run_id"] for run in airflow.runs(VERIFIED)]
    synced = {run: airflow.xcom(VERIFIED, run, TASK, "sync_report")["destinations"][0] for run in runs}
    run = max(runs, key=lambda run: synced[run]["planned"])
    verified = airflow.xcom(VERIFIED, run, "verify_cohort", "verify_report")["destinations"][0]
    print("\nThird sync, verified: Segment is asked what it has")
    print(f"  write key   {synced[run]['source_checked']} by Segment's Public API before the sync")
    print(
        f"  counts      {verified['acknowledged']:,} identifies acknowledged, {verified['received']:,} received by "
        f"the source in these minutes, {sum(verified['failed'].values()):,} dropped on ingest, "
        f"{sum(verified['filtered'].values()):,} filtered"
    )
    print(
        f"  users       {verified['sampled']:,} asked for: {verified['matched']:,} matched, "
        f"{verified['different']:,} different, {verified['absent']:,} absent, {verified['suppressed']:,} suppressed"
    )
    return verified["sampled"] > 0 and verified["matched"] == verified["sampled"]


def main() -> int:
    """Run the demo; return 0 if Segment believes exactly the cohorts."""
    home = ROOT / ".demo"
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    with running_sandbox() as (sandbox, connections):
        print("The sandbox stands in for Amplitude and Segment; starting Airflow (SQLite) takes up to a minute ...")
        state = {"AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(home / "state")}
        with Standalone(home / "airflow", ROOT / "example_dags", {**connections, **state}) as airflow:
            airflow.wait_for_dags(DAILY, AD_HOC, VERIFIED)
            print(f"Airflow runs after {time.monotonic() - began:,.0f} s.")
            only_changes = sync_twice(airflow, sandbox)
            start_verified(airflow, sandbox)
            sync_many(airflow)
            is_verified = show_verified(airflow)
            print("\nWhat Segment believes, compared with the cohorts")
            equal = [compare(sandbox, cohort_id) for cohort_id in (COHORT, LARGE_COHORT)]
    print(f"\nEverything is stopped, after {time.monotonic() - began:,.0f} s.")
    if not only_changes:
        print("The second sync did not send exactly the changes.")
    if not is_verified:
        print("Segment does not have every user of the sample as the ledger says.")
    return 0 if all(equal) and only_changes and is_verified else 1


if __name__ == "__main__":
    sys.exit(main())
