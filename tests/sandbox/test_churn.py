"""Cohorts move the way a test asks."""

from __future__ import annotations

import pytest

from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort


def test_churn_moves_as_many_as_asked(sandbox: Sandbox) -> None:
    """The asked number enters and exits, who enters was no member, and the same seed moves the same users."""
    members = [f"user{number}" for number in range(1000)]
    for cohort_id in ("one", "two"):
        sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(cohort_id, cohort_id, list(members))
    churn = sandbox.amplitude.churn("one", enter=30, exit=20, seed=7)

    now = sandbox.amplitude.cohorts["one"].user_ids
    assert len(churn.entered) == 30
    assert set(now) == (set(members) - set(churn.exited)) | set(churn.entered)
    assert len(now) == len(set(now)) == 1010
    assert not set(churn.entered) & set(members)
    with Sandbox.start(cohorts=[SandboxCohort("one", "one", list(members))]) as again:
        assert again.amplitude.churn("one", enter=30, exit=20, seed=7) == churn


def test_churn_refuses_what_cannot_be(sandbox: Sandbox) -> None:
    """More exits than members raise, and no user enters or exits."""
    with pytest.raises(ValueError, match="has 3 members"):
        sandbox.amplitude.churn("26umsb5", enter=1, exit=4)

    assert sandbox.amplitude.cohorts["26umsb5"].user_ids == ["ann", "bob", "007"]
