"""Watchers of forty cohorts in a real triggerer, which is stopped and started again in the middle."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from standalone import standalone

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.triggers.cohort_change import AmplitudeCohortChangeTrigger
from cluster.conftest import FAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from standalone import Standalone

LINE = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
HAS_WATCHERS, KEEPS_STATE = LINE >= (3, 0), LINE >= (3, 3)
COHORTS = [f"cohort{number:02}" for number in range(40)]
DAGS = Path(__file__).parent / "watcher_dags"
POLL_SECONDS = 2
WITHIN_SECONDS = 240
WATCHERS_SETTINGS = {
    # Airflow stores a watcher of an asset once the asset is active, when it reads the DAG file the next time. The
    # scheduler makes assets active at this interval.
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
}

pytestmark = pytest.mark.timeout(900)


class Watching:
    """A real Airflow that watches a sandbox."""

    def __init__(self, airflow: Standalone, sandbox: Sandbox) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.lists = 0
        listed = sandbox.amplitude.listed

        def count() -> list[dict[str, Any]]:
            self.lists += 1
            return listed()

        sandbox.amplitude.listed = count  # type: ignore[method-assign]

    def recompute(self, *numbers: int) -> None:
        for number in numbers:
            cohort = self.sandbox.amplitude.cohorts[COHORTS[number]]
            assert isinstance(cohort.last_computed, float)
            cohort.last_computed += 3600

    def wait_for(self, until: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_SECONDS
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {what} in vain; see {self.airflow.home}")
            time.sleep(0.2)

    def count(self, query: str) -> int:
        with closing(sqlite3.connect(f"file:{self.airflow.home}/airflow.db?mode=ro", uri=True, timeout=60)) as database:
            return int(database.execute(query).fetchone()[0])

    def wait_for_watchers(self) -> None:
        """Wait until a triggerer has all watchers, and until each has seen a list or more."""
        assigned = "select count(*) from trigger where triggerer_id is not null"
        self.wait_for(lambda: self.count(assigned) == len(COHORTS), "the watchers")
        if KEEPS_STATE:
            self.wait_for(
                lambda: self.count("select count(*) from asset_state_store") == len(COHORTS), "the watchers' state"
            )
        self.wait_for_polls(3)

    def wait_for_polls(self, polls: int) -> None:
        """Wait until each watcher has polled so often: on 3.3 they share a poll."""
        enough = self.lists + polls * (1 if KEEPS_STATE else len(COHORTS))
        self.wait_for(lambda: self.lists >= enough, "polls")

    def started(self) -> dict[str, int]:
        """Return the runs that ended well, by cohort, once none is under way and some polls have passed."""
        self.wait_for_polls(3)
        self.wait_for(
            lambda: all(run["state"] in ("success", "failed") for run in self.airflow.runs("~")), "the ends of the runs"
        )
        runs = self.airflow.runs("~")
        assert all(run["state"] == "success" for run in runs)
        for run in runs:
            cohort_id = run["dag_id"].removeprefix("on_")
            read = self.airflow.xcom(run["dag_id"], run["dag_run_id"], "read_event", "return_value")
            assert read == [cohort_id], "one event a run, and of its cohort"
        return {cohort_id: count for cohort_id in COHORTS if (count := _runs_of(runs, cohort_id))}

    def wait_for_runs(self, number: int) -> None:
        self.wait_for(lambda: len(self.airflow.runs("~")) >= number, f"{number} runs")

    def triggerer(self) -> psutil.Process:
        """Return the process of the command, whose children carry its command line too."""
        found = {}
        for process in self.airflow.processes():
            with suppress(psutil.Error):
                if "triggerer" in process.cmdline():
                    found[process.pid] = process
        (root,) = (process for process in found.values() if process.ppid() not in found)
        return root

    def stop_triggerer(self) -> None:
        """Ask it to stop as an operator does, and make sure that it has ended before the test goes on."""
        triggerer = self.triggerer()
        family = [triggerer, *triggerer.children(recursive=True)]
        triggerer.terminate()
        _, alive = psutil.wait_procs(family, timeout=60)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=10)

    def start_triggerer(self) -> None:
        with (self.airflow.home / "triggerer-2.log").open("wb") as log:
            subprocess.Popen(  # noqa: S603 - our own Airflow
                [Path(sys.executable).parent / "airflow", "triggerer"],
                env=self.airflow._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def _runs_of(runs: list[dict[str, Any]], cohort_id: str) -> int:
    return sum(run["dag_id"] == f"on_{cohort_id}" for run in runs)


@pytest.fixture(scope="module")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching | None]:
    """Start Airflow and a sandbox with forty cohorts; nothing where Airflow has no watchers."""
    if not HAS_WATCHERS:
        yield None
        return
    cohorts = [
        SandboxCohort(cohort_id, cohort_id, listed_size=10, last_computed=1_790_000_000.0) for cohort_id in COHORTS
    ]
    with Sandbox.start(cohorts=cohorts) as sandbox:
        env = {**sandbox.airflow_connections(), **FAST, **WATCHERS_SETTINGS}
        with standalone(tmp_path_factory.mktemp("watchers"), DAGS, env) as airflow:
            yield Watching(airflow, sandbox)


def test_each_recomputed_cohort_of_forty_starts_exactly_one_run_over_a_restart(watching: Watching | None) -> None:
    """On 3.0 to 3.2, Airflow keeps no state, so what changes while no triggerer runs starts none."""
    if watching is None:
        with pytest.raises(SettingError, match="no asset watchers"):
            AmplitudeCohortChangeTrigger(COHORTS).serialize()
        return
    watching.wait_for_watchers()
    assert watching.airflow.runs("~") == [], "the first look starts no run"

    watching.recompute(0, 1, 2, 3, 4)
    watching.wait_for_runs(5)
    expected = dict.fromkeys(COHORTS[:5], 1)
    assert watching.started() == expected

    watching.stop_triggerer()
    watching.recompute(5, 6, 7, 8, 9)
    watching.start_triggerer()
    watching.wait_for_polls(4)
    if KEEPS_STATE:
        watching.wait_for_runs(10)
        expected |= dict.fromkeys(COHORTS[5:10], 1)
    assert watching.started() == expected

    watching.recompute(0, 9, 20, 30, 39)
    watching.wait_for_runs(sum(expected.values()) + 5)
    for cohort_id in (COHORTS[number] for number in (0, 9, 20, 30, 39)):
        expected[cohort_id] = expected.get(cohort_id, 0) + 1
    assert watching.started() == expected
    assert watching.sandbox.amplitude.exports_spent == 0
