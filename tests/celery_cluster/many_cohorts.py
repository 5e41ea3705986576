"""Many cohorts, a Celery Airflow and a store that all workers share: what a test waits for, and what it asks at the end."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox import SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable

    from celery_cluster.celery_airflow import CeleryAirflow, CeleryWorker
    from celery_cluster.redis_server import RedisServer

    from airflow_provider_amplitude_segment.sandbox import Sandbox

_WITHIN_SECONDS = 600
_NOBODY_QUEUES_SECONDS = 10.0


@dataclass
class ManyCohorts:
    """One Airflow, one sandbox with its limits on."""

    airflow: CeleryAirflow
    sandbox: Sandbox
    redis: RedisServer

    def make(self, number: int, *, members: int, polls: int) -> list[str]:
        """Make cohorts that the DAGs list, each ready after so many questions; return their IDs."""
        for index in range(number):
            cohort_id = f"cohort{index:02}"
            users = [f"{cohort_id}-user{user}@example.com" for user in range(members)]
            self.sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(
                cohort_id, f"Lifecycle: {index}", users, delivery="storage", ready_after_polls=polls
            )
        return list(self.sandbox.amplitude.cohorts)

    def wait_until_only_telling_on(self, worker: CeleryWorker, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Wait until all tasks that run on a worker, one at least, are in the middle of their cohort; return these."""
        found: list[dict[str, Any]] = []

        def found_them() -> bool:
            found[:] = self.running_on(worker, dag_id, run_id)
            return bool(found) and all(0.1 < self._told(ti) < 0.6 for ti in found)

        self._wait(found_them, f"tasks that tell on the {worker.name} worker")
        return found

    def running_on(self, worker: CeleryWorker, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the mapped tasks that run on a worker."""
        mapped = self.airflow.mapped(dag_id, run_id)
        return [ti for ti in mapped if ti["state"] == "running" and ti["hostname"] == worker.name]

    def wait_until_held_back(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Wait until a task stands in the queue much longer than any that a worker is free for; return such tasks."""
        found: list[dict[str, Any]] = []

        def found_one() -> bool:
            found[:] = self.held_back(dag_id, run_id)
            return bool(found)

        self._wait(found_one, "a task that a worker took and does not begin")
        return found

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

    def message_ids(self, cohort_id: str) -> Counter[str]:
        """Return under how many message IDs each user of a cohort was told."""
        trait = self.sandbox.compare(cohort_id).trait
        kept = self.sandbox.segment.messages_by_id.values()
        return Counter(one.message["userId"] for one in kept if trait in one.message["traits"])

    def received_twice(self) -> int:
        """Return how many messages were received again under their ID."""
        return sum(kept.times_received - 1 for kept in self.sandbox.segment.messages_by_id.values())

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
