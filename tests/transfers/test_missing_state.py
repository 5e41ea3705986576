"""Airflow remembers which ledger a task left, on both lines: mapped, in another order, by hand, deferred."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.task_instance import FakeTaskInstance, Sync

_DAG = """
import pendulum
from airflow.providers.common.compat.sdk import DAG, Param
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

with DAG(
    "remembering_{name}", schedule=None, start_date=pendulum.datetime(2025, 1, 1, tz="UTC"), catchup=False,
    params={{"cohort_id": "c1", "on_missing_state": Param("fail", enum=["fail", "full"])}},
    render_template_as_native_obj=True,
):
    {operator}
"""

_MAPPED = """
    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync", on_missing_state="{{ params.on_missing_state }}", state_path=STATE, poll_interval=0.05
    ).expand(cohort_id=COHORTS)
"""

_ONE = """
    AmplitudeCohortToSegmentOperator(
        task_id="sync", cohort_id="{{ params.cohort_id }}", on_missing_state="{{ params.on_missing_state }}",
        state_path=STATE, poll_interval=0.05, deferrable=DEFERRABLE,
    )
"""


class RememberingDag:
    """A DAG that is written anew for each run, as an author would between two of them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.state = folder / "state"
        self._file = folder / f"remembering_{name}.py"
        self._name = name

    def run(self, operator: str, run_conf: dict[str, Any] | None = None, **constants: object) -> str:
        for constant, value in {"STATE": str(self.state), **constants}.items():
            operator = operator.replace(constant, repr(value))
        self._file.write_text(_DAG.format(name=self._name, operator=operator.strip()))
        return str(parse_dag(self._file).test(run_conf=run_conf).state)

    def lose_state(self) -> None:
        shutil.rmtree(self.state)


@pytest.fixture
def two_cohorts(sandbox: Sandbox) -> Sandbox:
    sandbox.amplitude.cohorts["c2"] = SandboxCohort("c2", "Trial Users", ["cat"])
    return sandbox


@pytest.mark.usefixtures("forgetful_airflow")
def test_mapped_tasks_are_remembered_by_their_cohorts_in_whatever_order(two_cohorts: Sandbox, tmp_path: Path) -> None:
    dag = RememberingDag(tmp_path, "mapped")
    assert dag.run(_MAPPED, COHORTS=["c2", "c1"]) == "success"
    spent = two_cohorts.amplitude.exports_spent

    # A third cohort comes first: it is a first sync, and the others keep their own memory.
    two_cohorts.amplitude.cohorts["c0"] = SandboxCohort("c0", "New Users", ["dan"])
    assert dag.run(_MAPPED, COHORTS=["c0", "c1", "c2"]) == "success"
    dag.lose_state()
    assert dag.run(_MAPPED, COHORTS=["c1", "c2", "c0"]) == "failed"

    assert two_cohorts.amplitude.exports_spent == spent + 3
    assert dag.run(_MAPPED, {"on_missing_state": "full"}, COHORTS=["c2", "c1"]) == "success"
    assert dag.run(_MAPPED, COHORTS=["c1", "c2"]) == "success"
    assert two_cohorts.compare("c1").equal


@pytest.mark.usefixtures("forgetful_airflow")
@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
def test_a_run_by_hand_is_remembered_by_its_cohort(two_cohorts: Sandbox, tmp_path: Path, deferrable: bool) -> None:
    dag = RememberingDag(tmp_path, f"ad_hoc_{deferrable}")
    for cohort in two_cohorts.amplitude.cohorts.values():
        cohort.ready_after_polls = 1
    assert dag.run(_ONE, {"cohort_id": "c1"}, DEFERRABLE=deferrable) == "success"
    dag.lose_state()

    # Another cohort was never synced here; that of before was.
    assert dag.run(_ONE, {"cohort_id": "c2"}, DEFERRABLE=deferrable) == "success"
    assert dag.run(_ONE, {"cohort_id": "c1"}, DEFERRABLE=deferrable) == "failed"
    assert two_cohorts.amplitude.exports_spent == 2

    full = {"cohort_id": "c1", "on_missing_state": "full"}
    assert dag.run(_ONE, full, DEFERRABLE=deferrable) == "success"
    assert dag.run(_ONE, {"cohort_id": "c1"}, DEFERRABLE=deferrable) == "success"
    assert two_cohorts.compare("c1").equal


def test_a_sync_leaves_its_generation_for_each_destination(sync: Sync, ti: FakeTaskInstance) -> None:
    report = sync(segment_conn_id=["segment_default", "segment_emea"])

    left = {key: value for key, value in ti.xcoms.items() if key.startswith("amplitude_segment:c1:")}
    assert left == {f"amplitude_segment:c1:{d['destination']}": 1 for d in report["destinations"]}


@pytest.mark.parametrize("left", [None, "7", {"generation": 7}, [None, "x"], True])
def test_what_is_no_generation_is_not_remembered(sync: Sync, ti: FakeTaskInstance, left: object) -> None:
    destination = sync(dry_run=True)["destinations"][0]["destination"]
    ti.remembered[f"amplitude_segment:c1:{destination}"] = left

    assert sync()["destinations"][0]["committed"]


def test_of_several_that_are_remembered_the_highest_counts(sync: Sync, ti: FakeTaskInstance) -> None:
    destination = sync()["destinations"][0]["destination"]
    ti.remembered[f"amplitude_segment:c1:{destination}"] = [1, 3, 2]

    with pytest.raises(AirflowFailException, match="recorded sync 3 "):
        sync()
