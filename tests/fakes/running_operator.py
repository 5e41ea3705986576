"""A sandbox with a small cohort, its connections in the environment, and an operator to run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.operators.verify import SegmentCohortVerifyOperator
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
from fakes.clock import FakeClock
from fakes.task_instance import FakeTaskInstance, Sync


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(cohorts=[], port=0) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """An empty sandbox but for cohort ``c1``, "Power Users", of ann and bob and one anonymous user."""
    running_sandbox.reset()
    running_sandbox.amplitude.cohorts.clear()
    running_sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", ["ann", "bob"], anonymous=1)
    # The limits are another test's.
    running_sandbox.amplitude.parallel_per_minute = None
    running_sandbox.amplitude.requests_per_ten_minutes = None
    for name, value in running_sandbox.airflow_connections().items():
        monkeypatch.setenv(name, value)
    return running_sandbox


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance()


@pytest.fixture
def sync(sandbox: Sandbox, ti: FakeTaskInstance, tmp_path: Path) -> Sync:  # noqa: ARG001 - it sets the connections
    """Run the operator as a worker does, on parameters as they are after rendering.

    With ``event`` the task is resumed after its deferral. With ``clock`` it waits on that one, and not in real time.
    """

    def run(
        task_instance: FakeTaskInstance = ti,
        *,
        event: dict[str, Any] | None = None,
        clock: FakeClock | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        parameters = {"cohort_id": "c1", "state_path": str(tmp_path / "state"), "poll_interval": 0.05, **parameters}
        operator = AmplitudeCohortToSegmentOperator(task_id="sync", **parameters)
        operator.clock = clock
        context = {"ti": task_instance, "dag_run": task_instance, "params": task_instance.params}
        context |= task_instance.context
        return operator.execute(context) if event is None else operator.execute_complete(context, event)

    return run


@pytest.fixture
def retire(sandbox: Sandbox, tmp_path: Path) -> Sync:  # noqa: ARG001 - it sets the connections
    """Run the retire operator as a worker does, by default in a run of its own."""

    def run(task_instance: FakeTaskInstance | None = None, **parameters: Any) -> dict[str, Any]:
        task_instance = task_instance or FakeTaskInstance(run_id="retire")
        task_instance.task_id = "retire"
        parameters = {"cohort_id": "c1", "state_path": str(tmp_path / "state"), **parameters}
        operator = AmplitudeCohortTraitRetireOperator(task_id="retire", **parameters)
        context = {"ti": task_instance, "dag_run": task_instance, "params": task_instance.params}
        return operator.execute(context)

    return run


@pytest.fixture
def verify(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Run the verify operator as a worker does, by default in a run of its own, at once and without rechecks.

    With ``resumed`` the task is resumed after its deferral. With ``clock`` it waits on that one, and not in real time.
    """
    for name, value in sandbox.airflow_connections(proved=True).items():
        monkeypatch.setenv(name, value)

    def run(
        task_instance: FakeTaskInstance | None = None,
        *,
        resumed: bool = False,
        clock: FakeClock | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        task_instance = task_instance or FakeTaskInstance(run_id="verify")
        task_instance.task_id = "verify"
        usual = {"cohort_id": "c1", "state_path": str(tmp_path / "state"), "settle_seconds": 0, "recheck_seconds": 0}
        operator = SegmentCohortVerifyOperator(task_id="verify", **{**usual, **parameters})
        operator.clock = clock
        context = {"ti": task_instance, "dag_run": task_instance, "params": task_instance.params}
        context |= task_instance.context
        return operator.execute_complete(context, {"status": "settled"}) if resumed else operator.execute(context)

    return run
