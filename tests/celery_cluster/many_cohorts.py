"""Many cohorts and an Airflow on Celery: what a test waits for, and what it asks at the end."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox import SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery_cluster.celery_airflow import CeleryAirflow, CeleryWorker

    from airflow_provider_amplitude_segment.sandbox import Sandbox

log = logging.getLogger(__name__)

_WITHIN_SECONDS = 240
_NOBODY_QUEUES_SECONDS = 10.0


@dataclass(frozen=True)
class FinishedRun:
    """How a run ended, and what its tasks spent their time on."""

    state: str
    seconds: float
    held_seconds: float
    """From each task's first start to its end, its deferral within: what it holds a slot that counts deferred tasks."""
    delivery_seconds: float

    def __str__(self) -> str:
        share = self.delivery_seconds / self.held_seconds
        return f"{self.seconds:.0f} s, tasks held their slots {self.held_seconds:.0f} s, {share:.0%} of it telling"


@dataclass
class ManyCohorts:
    """One Airflow, one sandbox with its limits on."""

    airflow: CeleryAirflow
    sandbox: Sandbox

    def make(self, name: str, number: int, *, members: int, polls: int) -> list[str]:
        """Make cohorts that the DAGs list, each ready after so many questions; return their IDs.

        The name is part of these: the ledgers of another test's cohorts stand in the bucket.
        """
        for index in range(number):
            cohort_id = f"{name}{index:02}"
            users = [f"{cohort_id}-user{user}@example.com" for user in range(members)]
            self.sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(
                cohort_id, f"Lifecycle: {index}", users, delivery="storage", ready_after_polls=polls
            )
        return list(self.sandbox.amplitude.cohorts)

    def run(self, dag_id: str) -> FinishedRun:
        """Run a DAG to its end."""
        began = time.monotonic()
        run_id = self.airflow.start_run(dag_id, {})
        return self.finish(dag_id, run_id, began)

    def finish(self, dag_id: str, run_id: str, began: float) -> FinishedRun:
        """Wait until a run that was begun at a moment of the monotonic clock has ended."""
        state = self.airflow.wait_for_run(dag_id, run_id)
        seconds = time.monotonic() - began
        mapped = self.airflow.mapped(dag_id, run_id)
        held = sum(_moment(ti["end_date"]) - _moment(ti["start_date"]) for ti in mapped)
        telling = sum(self.airflow.report(ti)["destinations"][0]["seconds"] for ti in mapped)
        return FinishedRun(state, seconds, held, telling)

    def wait_until_only_sending_on(self, worker: CeleryWorker, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Wait until all tasks that run on a worker, one at least, are in the middle of their cohort; return these."""
        found: list[dict[str, Any]] = []

        def found_them() -> bool:
            mapped = self.airflow.mapped(dag_id, run_id)
            found[:] = [ti for ti in mapped if ti["state"] == "running" and ti["hostname"] == worker.name]
            return bool(found) and all(0.1 < self._told(ti) < 0.6 for ti in found)

        self._wait(found_them, f"tasks that tell on the {worker.name} worker")
        return found

    def make_it_take_a_task_and_not_begin(self, worker: CeleryWorker, dag_id: str, run_id: str) -> None:
        """Wait until a worker holds a task that Airflow believes to be in the queue still."""

        def holds_one() -> bool:
            worker.freeze_the_idle_but_one()
            return bool(self.held_back(dag_id, run_id))

        self._wait(holds_one, f"a task that the {worker.name} worker took and does not begin")

    def held_back(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the mapped tasks that have been in the queue much longer than any that a worker is free for."""
        queued = [ti for ti in self.airflow.mapped(dag_id, run_id) if ti["state"] == "queued"]
        return [ti for ti in queued if time.time() - _moment(ti["queued_when"]) > _NOBODY_QUEUES_SECONDS]

    def wait_until_succeeded(self, number: int, dag_id: str, run_id: str) -> None:
        """Wait until so many of a run's cohorts are done."""
        self._wait(
            lambda: sum(ti["state"] == "success" for ti in self.airflow.mapped(dag_id, run_id)) >= number,
            f"{number} cohorts",
        )

    def exports(self) -> Counter[str]:
        """Return how many exports were spent on each cohort."""
        return Counter(export.cohort_id for export in self.sandbox.amplitude._exports.values())

    def sent_under_several_ids(self) -> list[str]:
        """Return who was told about a cohort under more than one message ID."""
        kept = self.sandbox.segment.messages_by_id.values()
        told = Counter((one.message["userId"], trait) for one in kept for trait in one.message["traits"])
        return [user_id for (user_id, _), ids in told.items() if ids > 1]

    def received_twice(self) -> int:
        """Return how many messages were received again under their ID."""
        return sum(kept.times_received - 1 for kept in self.sandbox.segment.messages_by_id.values())

    def log_return_of(self, telling: list[dict[str, Any]], taken: list[dict[str, Any]], worker: CeleryWorker) -> None:
        """Log how long after a worker's death its tasks were given up, and begun elsewhere."""
        for ti in telling:
            first, second = self.airflow.tries(ti)
            log.info(
                "Cohort %s: given up %.0f s after the kill, begun again after %.0f s",
                ti["map_index"],
                _moment(first["end_date"]) - worker.killed_at,
                _moment(second["start_date"]) - worker.killed_at,
            )
        for ti in taken:
            (only,) = self.airflow.tries(ti)
            queued_again = _moment(only["queued_when"])
            log.info(
                "Cohort %s: queued again %.0f s after the kill, %.0f s after it was queued first",
                ti["map_index"],
                queued_again - worker.killed_at,
                queued_again - _moment(ti["queued_when"]),
            )

    def _told(self, ti: dict[str, Any]) -> float:
        """Return the share of a task's cohort that Segment believes to be members."""
        # The DAG maps over the cohorts as they are listed.
        compared = self.sandbox.compare(list(self.sandbox.amplitude.cohorts)[ti["map_index"]])
        return compared.believed / compared.members

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while not until():
            self.airflow.refuse_to_wait_for_the_dead()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {what} in vain; see {self.airflow.home}")
            time.sleep(0.4)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
