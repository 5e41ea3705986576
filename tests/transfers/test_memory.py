"""A large cohort fits into a small worker."""

from pathlib import Path

from fakes.task_process import outcome_of, start_task

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

MEMBERS = 200_000


def test_200000_members_arrive_from_nothing_in_under_400_mb_of_the_task_process(tmp_path: Path) -> None:
    """Airflow's own imports included; the sandbox's memory is another process's."""
    users = [f"user{number}@example.com" for number in range(MEMBERS)]
    cohort = SandboxCohort("c1", "Power Users", users, delivery="storage", gzip=True)
    with Sandbox.start(cohorts=[cohort], port=0) as sandbox:
        outcome = outcome_of(start_task(sandbox, state_path=str(tmp_path / "state"), events_per_second=None))
        believed = sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)")

    assert believed == set(users)
    assert outcome["report"]["destinations"][0]["acknowledged"] == MEMBERS
    assert outcome["peak_mib"] < 400
