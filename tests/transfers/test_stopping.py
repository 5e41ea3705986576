"""A task that Airflow stops in the middle of a delivery, in the process that runs it."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from fakes.task_instance import FakeTaskInstance

from airflow_provider_amplitude_segment.exceptions import SyncStoppedError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault, Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

MEMBERS = 20_000
ALLOWED = 2
TRAIT = "Power Users (c1)"


@pytest.fixture
def users(sandbox: Sandbox) -> set[str]:
    """A large cohort at a Segment that takes each batch at once and answers late, so that some are in flight."""
    users = [f"user{number}" for number in range(MEMBERS)]
    sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", users)
    sandbox.faults.add(Fault(on="segment.batch", apply=True, delay_seconds=0.2, times=MEMBERS))
    return set(users)


@pytest.fixture
def operator(sandbox: Sandbox, users: set[str], tmp_path: Path) -> AmplitudeCohortToSegmentOperator:  # noqa: ARG001 - they set what it meets
    return AmplitudeCohortToSegmentOperator(
        task_id="sync",
        cohort_id="c1",
        state_path=str(tmp_path / "state"),
        poll_interval=0.05,
        events_per_second=None,
        max_concurrent_requests=ALLOWED,
    )


def acknowledged(tmp_path: Path) -> int:
    """How many changes the journals of the plan say were acknowledged."""
    journals = [json.loads(path.read_bytes()) for path in tmp_path.glob("state/*/c1/*/acked-*.json")]
    return sum(last - first + 1 for journal in journals for first, last in journal["acked"])


@contextmanager
def once_received(sandbox: Sandbox, batches: int, act: threading.Thread) -> Iterator[None]:
    """Start a thread as soon as Segment has taken so many batches; join it at the end."""

    def watch() -> None:
        while sandbox.segment.batches_received < batches:
            time.sleep(0.002)
        act.start()

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    watcher.join()
    act.join()


def test_a_killed_task_ends_after_the_batches_in_flight_and_its_next_try_tells_only_what_is_pending(
    sandbox: Sandbox, users: set[str], operator: AmplitudeCohortToSegmentOperator, tmp_path: Path
) -> None:
    kill = threading.Thread(target=operator.on_kill)
    with once_received(sandbox, 3, kill), pytest.raises(SyncStoppedError) as stopped:
        operator.execute({"ti": FakeTaskInstance(try_number=1)})

    received = sandbox.segment.identifies_received
    assert 0 < received < MEMBERS
    assert sandbox.segment.batches_received <= 3 + ALLOWED
    assert acknowledged(tmp_path) == received == MEMBERS - stopped.value.pending

    operator.execute({"ti": FakeTaskInstance(try_number=2)})

    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == users
    assert sandbox.segment.identifies_received == MEMBERS
    assert sandbox.amplitude.exports_spent == 1


def test_another_run_after_a_killed_task_is_let_in_at_once_and_tells_only_what_is_pending(
    sandbox: Sandbox, users: set[str], operator: AmplitudeCohortToSegmentOperator
) -> None:
    kill = threading.Thread(target=operator.on_kill)
    with once_received(sandbox, 3, kill), pytest.raises(SyncStoppedError):
        operator.execute({"ti": FakeTaskInstance("first")})

    operator.execute({"ti": FakeTaskInstance("second")})

    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == users
    assert sandbox.segment.identifies_received == MEMBERS


def test_a_task_over_its_time_ends_after_the_batches_in_flight_and_its_next_try_tells_only_what_is_pending(
    sandbox: Sandbox, users: set[str], operator: AmplitudeCohortToSegmentOperator, tmp_path: Path
) -> None:
    """Airflow raises in the main thread, from a signal's handler."""

    def time_out(*_: object) -> None:
        raise AirflowTaskTimeout

    # SIGALRM, which Airflow takes, is the test runner's own time-out here.
    before = signal.signal(signal.SIGUSR1, time_out)
    alarm = threading.Thread(target=signal.pthread_kill, args=(threading.main_thread().ident, signal.SIGUSR1))
    try:
        with once_received(sandbox, 3, alarm), pytest.raises(AirflowTaskTimeout):
            operator.execute({"ti": FakeTaskInstance(try_number=1)})
    finally:
        signal.signal(signal.SIGUSR1, before)

    received = sandbox.segment.identifies_received
    assert 0 < received < MEMBERS
    assert sandbox.segment.batches_received <= 3 + ALLOWED
    assert acknowledged(tmp_path) == received

    operator.execute({"ti": FakeTaskInstance(try_number=2)})

    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == users
    assert sandbox.segment.identifies_received == MEMBERS
    assert sandbox.amplitude.exports_spent == 1
