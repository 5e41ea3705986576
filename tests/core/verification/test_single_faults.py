"""One user ID, one running sync or one twin keeps a verification from nothing else."""

import csv
import io
from typing import TYPE_CHECKING

import pytest

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    MismatchError,
    NewerSyncError,
    SegmentApiAnswerError,
    SegmentApiUnavailableError,
)

if TYPE_CHECKING:
    # The fixtures' class; conftest modules have no name to import at run time.
    from typing import Any as Proof

USERS = [f"user{number}" for number in range(40)]


def listed(proof: "Proof") -> set[str]:
    content = proof.file(f"verification/{proof.report.generation}.csv") or b""
    return {row["user_id"] for row in csv.DictReader(io.StringIO(content.decode()))}


@pytest.mark.parametrize("poisoned", [USERS[:1], USERS[7:8], USERS[-1:], USERS[6::2]])
@pytest.mark.parametrize("status", [500, None])
def test_ids_that_fail_again_and_again_are_unreadable_and_the_others_are_healed(
    proof: "Proof", poisoned: list[str], status: int | None
) -> None:
    proof.world.segment.loses = {"user3", "user5"}
    proof.sync(*USERS)
    proof.profile.faulty = {user: RetryLater(status) for user in poisoned}

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=5, settle_seconds=0, heal=True).run()

    found = proof.report
    assert (found.unreadable, found.mismatches, found.healed, found.unanswered) == (len(poisoned), 2, 2, 0)
    assert listed(proof) == {"user3", "user5"}


def test_a_404_of_something_else_for_one_id_is_about_that_id(proof: "Proof") -> None:
    proof.world.segment.loses = {"user3"}
    proof.sync(*USERS)

    def before(user: str) -> None:
        if user == "user7":
            raise SegmentApiAnswerError("segment_api", "what it has of a user's trait", 404, "no error of Segment's")

    proof.profile.before = before

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=0).run()

    assert (proof.report.unreadable, proof.report.matched, proof.report.mismatches) == (1, 38, 1)


def test_a_response_that_is_none_of_segments_for_everybody_is_raised_soon(proof: "Proof") -> None:
    proof.sync(*USERS)

    def before(_user: str) -> None:
        raise SegmentApiAnswerError("segment_api", "what it has of a user's trait", 404, "no error of Segment's")

    proof.profile.before = before
    began = proof.world.clock.now()

    with pytest.raises(SegmentApiAnswerError):
        proof.prepare(settle_seconds=0).run()

    assert proof.world.clock.now() - began < 30


def test_one_id_that_turns_bad_between_two_questions_is_unreadable(proof: "Proof") -> None:
    """In a recheck no other request is left, so one that had a response shows that the API is up."""
    proof.world.segment.loses = {"user3"}
    proof.sync(*USERS)

    def before(user: str) -> None:
        if user == "user3" and user in proof.profile.asked:
            proof.profile.faulty = {user: RetryLater(500)}

    proof.profile.before = before

    report = proof.verify(recheck_seconds=20)

    assert (report.unreadable, report.matched) == (1, 39)


def test_a_user_who_is_asked_for_again_to_learn_whether_the_api_responds_matches_if_segment_knows_it_by_then(
    proof: "Proof",
) -> None:
    proof.sync("ann", "bob")
    proof.profile.faulty = {"bob": RetryLater(500)}

    def before(user: str) -> None:
        is_late = user == "ann" and "ann" not in proof.profile.asked
        proof.profile.late = {"ann": proof.world.clock.now() + 1} if is_late else {}

    proof.profile.before = before

    report = proof.verify(recheck_seconds=0)

    assert (report.unreadable, report.matched, report.mismatches) == (1, 1, 0)


def test_an_id_for_which_the_rate_limit_speaks_is_never_unreadable(proof: "Proof") -> None:
    proof.sync(*USERS)
    proof.profile.faulty = {"user7": RetryLater(429)}

    with pytest.raises(SegmentApiUnavailableError):
        proof.prepare().run()

    assert (proof.report.unreadable, proof.report.unanswered, proof.report.matched) == (0, 1, 39)


def test_a_few_ids_that_segment_cannot_read_are_no_fault_of_the_api(proof: "Proof") -> None:
    proof.profile.unreadable = {"ann"}
    proof.sync("ann")

    report = proof.verify()

    assert (report.unreadable, report.ratio) == (1, None)


def test_a_sync_that_runs_lets_the_retry_heal(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    (stream,) = find_streams(proof.world.store)
    take_claim(proof.world.store, stream, proof.world.run_named("b"), proof.world.clock.now())

    with pytest.raises(ClaimHeldError) as failed:
        proof.prepare(heal=True, recheck_seconds=0).run()

    assert (failed.value.retryable, proof.report.healed, proof.report.mismatches) == (True, 0, 1)
    proof.world.clock.pass_by(3_600)
    with pytest.raises(MismatchError) as retried:
        proof.prepare(run=proof.world.run_named("verify", 2), heal=True, recheck_seconds=0).run()
    assert retried.value.healed == 1


@pytest.mark.parametrize("before", ["/verification/1.csv", "/claim-"])
def test_mismatches_that_a_newer_sync_may_have_repaired_are_dropped(proof: "Proof", before: str) -> None:
    """The sync ends after the last question: before the file of users is written, or before the healing's claim."""
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    proof.world.segment.loses = set()

    def sync_once(name: str) -> None:
        if before in name:
            proof.world.store.before_write = lambda _name: None
            proof.sync("ann", "bob", "cat", sync_mode="full")

    proof.world.store.before_write = sync_once

    with pytest.raises(NewerSyncError):
        proof.prepare(heal=True, recheck_seconds=0).run()

    found = proof.report
    assert (found.mismatches, found.healed, found.mismatched_users) == (0, 0, None)
    assert listed(proof) == set()


def test_the_error_does_not_advise_to_heal_where_that_was_asked_for() -> None:
    assert "with heal=True" in str(MismatchError("segment_default", 1, 2, 0.0, 0))
    assert "with heal=True" not in str(MismatchError("segment_default", 1, 2, 0.0, 0, was_to_heal=True))


def test_a_member_without_any_profile_is_not_excused_by_an_id_in_another_case(proof: "Proof") -> None:
    proof.world.segment.loses = {"Ann"}
    proof.sync("Ann", "ann", "bob")
    proof.sync("Ann", "bob")

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=0).run()

    assert (proof.report.absent, proof.report.shares_profile) == (1, 0)
