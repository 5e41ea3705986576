"""What a journey behind Segment receives of the operator's events, over real HTTP."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES
from airflow_provider_amplitude_segment.exceptions import SegmentUnavailableError, SyncStoppedError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Fault, Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

ENTERED, EXITED = "Cohort Entered", "Cohort Exited"
MEMBERS = 20_000


def journeys(sandbox: Sandbox, key: str = WRITE_KEY_DEFAULT) -> dict[str, list[str]]:
    return {user: [event.event for event in events] for user, events in sandbox.segment.journeys(key).items()}


def moved(sandbox: Sandbox, *members: str) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = list(members)


def test_an_entry_and_an_exit_reach_the_journeys_of_each_destination_with_their_properties(
    sandbox: Sandbox, sync: Sync
) -> None:
    both: dict[str, Any] = {"segment_conn_id": ["segment_default", "segment_emea"], "events": True}
    sync(FakeTaskInstance("first"), **both)
    assert journeys(sandbox) == journeys(sandbox, WRITE_KEY_EMEA) == {}
    moved(sandbox, "bob", "cat")

    report = sync(FakeTaskInstance("second"), **both)

    for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA):
        assert journeys(sandbox, key) == {"ann": [EXITED], "cat": [ENTERED]}
    properties = sandbox.segment.journeys(WRITE_KEY_DEFAULT)["cat"][0].properties
    assert properties == {"cohort_id": "c1", "cohort_name": "Power Users", "trait": "Power Users (c1)"}
    for part in report["destinations"]:
        assert (part["events_planned"], part["events_acknowledged"], part["events_rejected"]) == (2, 2, 0)
    assert sandbox.segment.lost == {}


def test_events_have_the_names_that_were_set(sandbox: Sandbox, sync: Sync) -> None:
    named: dict[str, Any] = {"events": "True", "event_names": {"entered": "Joined", "exited": "Left"}}
    sync(FakeTaskInstance("first"), **named, events_on_first_sync="True")
    moved(sandbox, "ann")

    sync(FakeTaskInstance("second"), **named)

    assert journeys(sandbox) == {"ann": ["Joined"], "bob": ["Joined", "Left"]}


@pytest.fixture
def operator(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> AmplitudeCohortToSegmentOperator:
    """A second sync in which 20,000 users enter at a Segment that takes each batch at once and answers late."""
    sync(FakeTaskInstance("first"), events=True)
    users = [f"user{number}" for number in range(MEMBERS)]
    sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", ["ann", "bob", *users])
    sandbox.faults.add(Fault(on="segment.batch", apply=True, delay_seconds=0.1, times=MEMBERS))
    return AmplitudeCohortToSegmentOperator(
        task_id="sync",
        cohort_id="c1",
        state_path=str(tmp_path / "state"),
        poll_interval=0.05,
        events_per_second=None,
        events=True,
    )


def kill_at_an_event(sandbox: Sandbox, operator: AmplitudeCohortToSegmentOperator) -> threading.Thread:
    """Kill the task as soon as a journey has received some of the events."""

    def watch() -> None:
        while not sandbox.segment.journeys(WRITE_KEY_DEFAULT):
            time.sleep(0.002)
        operator.on_kill()

    watcher = threading.Thread(target=watch)
    watcher.start()
    return watcher


@pytest.mark.parametrize("next_run", ["killed", "another"])
def test_a_task_that_is_killed_among_its_events_sends_each_once(
    sandbox: Sandbox, operator: AmplitudeCohortToSegmentOperator, next_run: str
) -> None:
    """The batches in flight end. Those that waited to be sent are in doubt for another run, all others are not."""
    watcher = kill_at_an_event(sandbox, operator)
    with pytest.raises(SyncStoppedError):
        operator.execute({"ti": FakeTaskInstance("killed", try_number=1)})
    watcher.join()
    assert 0 < len(journeys(sandbox)) < MEMBERS
    copies = sandbox.segment.duplicates_dropped

    operator.execute({"ti": FakeTaskInstance(next_run, try_number=2)})

    received = journeys(sandbox)
    assert all(events == [ENTERED] for events in received.values())
    assert MEMBERS - len(received) <= (0 if next_run == "killed" else MAX_BATCH_MESSAGES)
    assert sandbox.segment.duplicates_dropped == copies


@pytest.mark.parametrize(("events", "received"), [(True, 1), ("at-least-once", 2)])
def test_an_event_whose_response_was_lost_is_sent_again_by_another_run_only_at_least_once(
    sandbox: Sandbox, sync: Sync, *, events: bool | str, received: int
) -> None:
    """Segment takes the batch of events and each client hears a 503, so that the first run fails."""
    sync(FakeTaskInstance("first"), events=events)
    moved(sandbox, "ann", "bob", "cat")
    sandbox.faults.add(Fault(on="segment.batch", status=503, apply=True, after=1, times=1000))
    with pytest.raises(SegmentUnavailableError):
        sync(FakeTaskInstance("failed"), clock=FakeClock(), events=events)
    sandbox.faults.clear()
    assert journeys(sandbox) == {"cat": [ENTERED]}

    sync(FakeTaskInstance("next"), events=events)

    assert journeys(sandbox) == {"cat": [ENTERED] * received}
