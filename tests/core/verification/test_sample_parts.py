"""The numbers of a sample say no more than was compared, and neither part hides the other."""

from typing import TYPE_CHECKING

import pytest

from airflow_provider_amplitude_segment.core.verification.verify_summary import summarize_verification
from airflow_provider_amplitude_segment.exceptions import MismatchError

if TYPE_CHECKING:
    # The fixtures' class; conftest modules have no name to import at run time.
    from typing import Any as Proof

FORMER = [f"former{number}" for number in range(2_000)]
MEMBERS = [f"member{number}" for number in range(30)]


def summary(proof: "Proof") -> str:
    return "\n".join(summarize_verification(proof.last.report, ending="done."))


def test_users_who_could_not_be_read_count_as_differing_in_the_bounds(proof: "Proof") -> None:
    users = FORMER[:10]
    proof.sync(*users)
    proof.profile.unreadable = set(users[1:])

    report = proof.verify()

    assert (report.ratio, report.upper_bound, report.member_upper_bound) == (0.0, 0.9, 0.9)
    assert "at most 90.00% of all users and 90.00% of the members differ" in summary(proof)


def test_half_of_a_large_sample_unreadable_is_no_small_bound(proof: "Proof") -> None:
    proof.sync(*FORMER)
    proof.profile.unreadable = set(FORMER[::2])

    report = proof.verify(settle_seconds=0, sample_size=200)

    assert report.upper_bound is not None
    # About half of them could not be read.
    assert report.upper_bound > 0.4


def test_who_is_left_out_of_a_bound_is_named(proof: "Proof") -> None:
    proof.public.suppressed = ["bob"]
    proof.sync("ann", "bob")

    assert proof.verify().upper_bound == 0.0

    assert "; no user differs, without those who are suppressed" in summary(proof)
    assert "at most 0.00%" not in summary(proof)


def test_former_members_do_not_hide_that_half_of_the_members_are_lost(proof: "Proof") -> None:
    proof.world.segment.loses = set(MEMBERS[:15])
    proof.sync(*FORMER, *MEMBERS)
    proof.world.segment.loses = set()
    proof.sync(*MEMBERS)
    proof.sync(*MEMBERS)

    for number in range(4):
        run = proof.world.run_named(f"v{number}")
        with pytest.raises(MismatchError):
            proof.prepare(run=run, sample_size=100, recheck_seconds=0, settle_seconds=0).run()

        found = proof.report
        assert (found.member_compared, found.member_mismatches, found.member_upper_bound) == (30, 15, 0.5)
        assert (found.state_compared, found.ratio) == (100, 0.15)
        assert found.upper_bound is not None
        assert found.upper_bound < 0.1


def test_a_lost_plan_fails_the_task_and_does_not_raise_the_ratio_of_the_state(proof: "Proof") -> None:
    proof.sync(*FORMER)
    proof.world.segment.loses = set(MEMBERS)
    proof.sync(*FORMER, *MEMBERS)

    with pytest.raises(MismatchError) as failed:
        proof.prepare(sample_size=100, recheck_seconds=0, settle_seconds=0, max_mismatch_ratio=0.5).run()

    found = proof.report
    assert (failed.value.mismatches, failed.value.compared) == (30, 30)
    assert (found.plan_compared, found.plan_mismatches, found.plan_upper_bound) == (30, 30, 1.0)
    assert found.ratio is not None
    assert found.ratio < 0.1


def test_a_right_plan_does_not_lower_the_ratio_of_the_state(proof: "Proof") -> None:
    old, new = FORMER[:1_000], FORMER[1_000:]
    proof.world.segment.loses = set(old[:200])
    proof.sync(*old)
    proof.world.segment.loses = set()
    proof.sync(*old, *new)
    ratios = []
    for number in range(4):
        run = proof.world.run_named(f"v{number}")
        proof.prepare(run=run, sample_size=400, recheck_seconds=0, settle_seconds=0, max_mismatch_ratio=1).run()
        ratios.append(proof.report.ratio)
        assert (proof.report.plan_mismatches, proof.report.plan_compared) == (0, 200)

    # A tenth of all users differs.
    assert 0.08 < sum(ratios) / 4 < 0.12


def test_in_a_small_ledger_every_part_is_all_of_it(proof: "Proof") -> None:
    proof.world.segment.loses = set(MEMBERS[:3])
    proof.sync(*MEMBERS)

    report = proof.verify(sample_size=40, recheck_seconds=0, max_mismatch_ratio=1)

    assert (report.ratio, report.upper_bound, report.plan_upper_bound) == (0.1, 0.1, 0.1)
    assert (report.state_compared, report.member_compared, report.plan_compared) == (30, 30, 30)


def test_a_sample_of_one_user_bounds_nothing(proof: "Proof") -> None:
    proof.sync(*MEMBERS)
    proof.sync(*MEMBERS[:20])

    report = proof.verify(sample_size=1)

    assert report.sampled == 1
    assert report.upper_bound is not None
    assert report.upper_bound > 0.9


def test_a_retired_cohort_has_no_user_to_verify(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.world.retire("c1")

    report = proof.verify()

    assert (report.sampled, report.ratio, report.upper_bound) == (0, None, None)
    assert "the ledger has no user to verify, because the cohort was retired" in summary(proof)
