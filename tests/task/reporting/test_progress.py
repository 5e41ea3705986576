"""Progress in the task state store: a few writes, none that hurts, and nothing left of a sync that ended well."""

import importlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, TaskDeferred
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox
from airflow_provider_amplitude_segment.task.reporting.progress import KEY, ProgressStore

AIRFLOW_3 = Asset.__name__ == "Asset"


class Store:
    """A task state store that remembers every value it held."""

    def __init__(self, *, fails: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.writes: list[Any] = []
        self.asked = 0
        self._fails = fails

    def set(self, key: str, value: Any) -> None:
        self.asked += 1
        if self._fails:
            raise RuntimeError("the API server is gone")
        self.writes.append(value)
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key: str) -> None:
        self.asked += 1
        self.values.pop(key, None)


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def test_a_write_holds_the_step_and_how_far_each_destination_is() -> None:
    store = Store()
    progress = ProgressStore(store, 2, seconds_between_writes=0.01)

    def work() -> None:
        progress.show({"step": "Send to Segment"})
        for delivered in (4000, 12_000):
            progress.show({"destination": "segment_default", "delivered": delivered, "planned": 40_000})
        progress.show({"destination": "segment_emea", "delivered": 1, "planned": 2})
        wait_for(lambda: "segment_emea" in store.values.get(KEY, {}).get("destinations", {}))

    progress.during(work)

    assert {**store.writes[-1], "at": ""} == {
        "step": "Send to Segment",
        "try_number": 2,
        "at": "",
        "destinations": {
            "segment_default": {"delivered": 12_000, "planned": 40_000},
            "segment_emea": {"delivered": 1, "planned": 2},
        },
    }


def test_nothing_is_left_of_a_sync_that_ended_well() -> None:
    store = Store()
    progress = ProgressStore(store, 1, seconds_between_writes=0.01)

    def work() -> str:
        progress.show({"step": "Send to Segment"})
        wait_for(lambda: store.values)
        return "done"

    assert progress.during(work) == "done"
    assert store.values == {}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_how_far_a_failed_try_came_stays(error: type[BaseException]) -> None:
    store = Store()
    progress = ProgressStore(store, 1)

    def work() -> None:
        progress.show({"destination": "segment_default", "delivered": 3, "planned": 9})
        raise error

    with pytest.raises(error):
        progress.during(work)
    assert store.values[KEY]["destinations"]["segment_default"]["delivered"] == 3


def test_what_a_deferred_task_waits_for_stays() -> None:
    store = Store()
    progress = ProgressStore(store, 1)

    def work() -> ExportIncomplete:
        progress.show({"step": "Read the export"})
        return ExportIncomplete("export-1")

    progress.during(work)

    assert store.values[KEY]["step"] == "Read the export"


def test_ten_thousand_facts_a_second_are_few_writes() -> None:
    store = Store()
    progress = ProgressStore(store, 1, seconds_between_writes=0.1)

    def work() -> None:
        for delivered in range(10_000):
            progress.show({"destination": "segment_default", "delivered": delivered, "planned": 10_000})
        time.sleep(0.3)

    progress.during(work)

    assert 1 <= len(store.writes) <= 8


def test_a_store_that_fails_is_left_alone_after_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    store = Store(fails=True)
    progress = ProgressStore(store, 1, seconds_between_writes=0.01)

    def work() -> str:
        for delivered in range(50):
            progress.show({"destination": "segment_default", "delivered": delivered, "planned": 50})
            time.sleep(0.005)
        return "done"

    assert progress.during(work) == "done"
    assert store.asked == 1
    assert caplog.text.count("Progress is not shown any more") == 1


def test_no_thread_is_left() -> None:
    progress = ProgressStore(Store(), 1)

    progress.during(lambda: None)

    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_a_sync_without_a_store_ends_as_ever(sync: Sync) -> None:
    """Airflow before 3.3."""
    assert sync()["destinations"][0]["acknowledged"] == 2


def test_a_sync_that_fails_leaves_where_it_was(sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance) -> None:
    store = ti.context["task_state_store"] = Store()
    sandbox.faults.add(Fault(on="segment.batch", status=501))

    with pytest.raises(AirflowFailException):
        sync(ti)

    left = store.values[KEY]
    assert left["step"] == "Send to Segment"
    assert (left["destinations"]["segment_default"]["delivered"], left["try_number"]) == (0, 1)
    assert "bob" not in json.dumps(left)


def test_a_sync_that_is_deferred_shows_that_it_waits_and_nothing_once_it_is_done(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    store = ti.context["task_state_store"] = Store()
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1

    with pytest.raises(TaskDeferred):
        sync(ti, deferrable=True)
    assert store.values[KEY]["step"] == "Read the export"
    sync(ti, deferrable=True, event={"status": "completed"})

    assert store.values == {}


@pytest.mark.usefixtures("forgetful_airflow")
def test_airflow_keeps_it_where_its_api_looks(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.3's own store, in its own database; 2.11 has none, and the task fails in the same way."""
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH", str(tmp_path / "state"))
    file = tmp_path / "progress_of_a_failed_sync.py"
    file.write_text(
        "import pendulum\n"
        "from airflow.providers.common.compat.sdk import DAG\n"
        "from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import (\n"
        "    AmplitudeCohortToSegmentOperator,\n)\n"
        f"with DAG({file.stem!r}, schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz='UTC')):\n"
        "    AmplitudeCohortToSegmentOperator(task_id='sync', cohort_id='c1')\n"
    )
    sandbox.faults.add(Fault(on="segment.batch", status=501))

    before = _kept_values() if AIRFLOW_3 else []

    run = parse_dag(file).test()

    assert run.state == "failed"
    if AIRFLOW_3:
        (kept,) = [value for value in _kept_values() if value not in before]
        assert json.loads(kept)["step"] == "Send to Segment"


def _kept_values() -> list[str]:
    model = importlib.import_module("airflow.models.task_state_store").TaskStateStoreModel
    session_of = importlib.import_module("airflow.utils.session").create_session
    with session_of() as session:
        return [row.value for row in session.query(model).filter(model.key == KEY)]
