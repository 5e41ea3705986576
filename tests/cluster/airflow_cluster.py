"""A real Airflow beside a sandbox, and what a test does to their processes."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    import psutil
    from standalone import Standalone

_WITHIN_SECONDS = 240
TASK = "sync"


@dataclass
class AirflowCluster:
    """One Airflow, one sandbox, one place for ledgers; ``green`` becomes a second Airflow there, configured alike."""

    airflow: Standalone
    green: Future[Standalone]
    sandbox: Sandbox
    state: Path

    def cohort(self, cohort_id: str, members: int) -> set[str]:
        """Make a cohort, and return its members."""
        users = [f"{cohort_id}-user{number}@example.com" for number in range(members)]
        self.sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(cohort_id, "Power Users", users, delivery="storage")
        return set(users)

    def start(self, dag_id: str, cohort_id: str, **conf: Any) -> str:
        """Trigger a sync of a cohort, and return the run's ID."""
        return self.airflow.start_run(dag_id, {"cohort_id": cohort_id, **conf})

    def wait_until_sent(self, messages: int) -> None:
        """Wait until Segment has taken so many messages."""
        self._wait(lambda: self.sandbox.segment.identifies_received >= messages, f"{messages:,} messages")

    def wait_until_waited_for_by_a_trigger(self, cohort_id: str) -> None:
        """Wait until an export that is never ready was asked after again, which the task itself does once."""
        never = self.sandbox.amplitude.cohorts[cohort_id].ready_after_polls
        self._wait(
            lambda: any(0 < export.polls_left < never - 1 for export in self.sandbox.amplitude._exports.values()),
            "the trigger",
        )

    def wait_until_journalled(self, cohort_id: str) -> None:
        """Wait until the journals say that all that Segment has taken is acknowledged.

        On a busy machine the next try may be at work already. What a try leaves out of its journal is received again,
        and the journals never reach what was received.
        """
        received = self.sandbox.segment
        self._wait(lambda: sum(self.journalled(cohort_id)) == received.identifies_received, "the journal")

    def wait_until_given_back(self, cohort_id: str) -> None:
        """Wait until no claim of the cohort is held any more."""
        claims = list(self.state.glob(f"*/{cohort_id}/*/claim-*.json"))
        assert claims
        self._wait(lambda: all(json.loads(claim.read_bytes())["released"] for claim in claims), "the claim")

    def wait_until_parked(self, dag_id: str, run_id: str, times: int = 1) -> None:
        """Wait until a task waits for a person, and until the scheduler has seen that its process ended.

        Airflow 3.3 takes a task for killed if it is answered before that.
        """
        log = self.airflow.home / "standalone.log"
        ended = re.compile(rf"Received executor event with state success.*{re.escape(run_id)}")

        def parked() -> bool:
            if self.airflow.task(dag_id, run_id, TASK)["state"] not in {"awaiting_input", "deferred"}:
                return False
            return len(ended.findall(log.read_text(encoding="utf-8", errors="replace"))) >= times

        self._wait(parked, "the question")

    def sending_task(self) -> psutil.Process:
        """Return the task's process: the one that talks to the sandbox. Wait for the next try's where one has ended."""
        port = int(self.sandbox.url.rsplit(":", 1)[1])
        connected: list[psutil.Process] = []

        def found() -> bool:
            connected[:] = self.airflow.processes_connected_to(port)
            return len(connected) == 1

        self._wait(found, "the task's process")
        return connected[0]

    def wait_until_gone(self, task: psutil.Process) -> None:
        """Wait until a process has ended."""
        self._wait(lambda: not task.is_running() or task.status() == "zombie", f"the end of process {task.pid}")

    def times_received(self, cohort_id: str) -> dict[str, list[int]]:
        """Return, by user of a cohort, how often each of the messages about them was received."""
        received: dict[str, list[int]] = {}
        for kept in self.sandbox.segment.messages_by_id.values():
            if f"Power Users ({cohort_id})" in kept.message["traits"]:
                received.setdefault(kept.message["userId"], []).append(kept.times_received)
        return received

    def journalled(self, cohort_id: str) -> list[int]:
        """Return, for each claim that left a journal of a plan, how many changes it says are acknowledged."""
        return [
            sum(last - first + 1 for first, last in json.loads(journal.read_bytes())["acked"])
            for journal in sorted(self.state.glob(f"*/{cohort_id}/*/acked-*.json"))
        ]

    def _wait(self, until: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {what} in vain; see {self.airflow.home}")
            time.sleep(0.1)
