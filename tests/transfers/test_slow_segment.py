"""A Segment that answers after two seconds and fails one in five: all users arrive, and the memory stays flat."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import psutil
from fakes.task_process import outcome_of, start_task

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = 50_000
# Batches of 1,250 messages, so that there are forty of them.
PACE = 10_000
# All seconds here are those of the task's clock.
TIMES_FASTER = 10
SECONDS = 2 / TIMES_FASTER
LATE = Fault(on="segment.batch", delay_seconds=SECONDS, times=4)
FAILED = Fault(on="segment.batch", delay_seconds=SECONDS, status=503)
FAILED_THOUGH_TAKEN = Fault(on="segment.batch", delay_seconds=SECONDS, status=503, apply=True)


def sync(sandbox: Sandbox, state: Path) -> tuple[dict[str, Any], list[tuple[int, float]]]:
    """Sync in a process of its own; return its outcome, and its memory in MiB by what Segment had heard by then."""
    samples = []
    with start_task(sandbox, times_faster=TIMES_FASTER, state_path=str(state), events_per_second=PACE) as task:
        process = psutil.Process(task.pid)
        while task.poll() is None:
            samples.append((sandbox.segment.identifies_received, process.memory_info().rss / 2**20))
            time.sleep(0.1 / TIMES_FASTER)
        return outcome_of(task), samples


def memory_between(samples: list[tuple[int, float]], least: int, most: int) -> float:
    return statistics.median(mib for sent, mib in samples if least <= sent <= most)


def test_50000_users_arrive_at_a_segment_that_takes_two_seconds_and_fails_one_in_five(tmp_path: Path) -> None:
    users = [f"user{number}@example.com" for number in range(MEMBERS)]
    with Sandbox.start(cohorts=[SandboxCohort("c1", "Power Users", users)]) as sandbox:
        at_a_fast_one, _ = sync(sandbox, tmp_path / "fast")
        sandbox.segment.forget()
        for failed in (FAILED, FAILED_THOUGH_TAKEN) * 10:
            sandbox.faults.add(LATE, failed)

        outcome, samples = sync(sandbox, tmp_path / "slow")

        believed = sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)")
        assert sandbox.faults.pending, "the faults did not last for the whole delivery"

    destination = outcome["report"]["destinations"][0]
    assert believed == set(users)
    assert (destination["acknowledged"], destination["committed"]) == (MEMBERS, True)
    assert destination["retries"] >= destination["batches"] // 5
    early, late = memory_between(samples, 5_000, 15_000), memory_between(samples, 40_000, 2 * MEMBERS)
    assert late < early + 10
    assert outcome["peak_mib"] < at_a_fast_one["peak_mib"] + 20
