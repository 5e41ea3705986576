"""A verification finds what Segment lost behind a 200, repairs it, and says what it knows when an API is down."""

import csv
import io
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import Killed
from fakes.segment_apis import FakeProfileApi

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.segment_api.profile import TraitFound
from airflow_provider_amplitude_segment.core.verification.verification import Unsettled
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    LedgerNotFoundError,
    MismatchError,
    NewerSyncError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
    SegmentUnavailableError,
    UnfinishedSyncError,
    UnsentUsersError,
    VerificationStoppedError,
    XComValueError,
)

if TYPE_CHECKING:
    # The fixtures' class; conftest modules have no name to import at run time.
    from typing import Any as Proof

TRAIT = "Power Users (c1)"
USERS = [f"user{number}" for number in range(2_000)]


def mismatched(proof: "Proof") -> set[str]:
    content = proof.file(f"verification/{proof.report.generation}.csv") or b""
    return {row["user_id"] for row in csv.DictReader(io.StringIO(content.decode()))}


def test_users_who_are_healed_have_no_second_event(proof: "Proof") -> None:
    """Segment lost the identify and the event of one of two users who entered."""
    proof.sync("ann", events="at-most-once")
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob", "cat", events="at-most-once")
    proof.world.segment.loses = set()
    with pytest.raises(MismatchError):
        proof.prepare(heal=True).run()
    assert (proof.report.mismatches, proof.report.received, proof.report.acknowledged) == (1, 2, 2)

    proof.sync(events="at-most-once")

    assert proof.world.segment.members(TRAIT) == {"ann", "bob", "cat"}
    assert [proof.world.segment.journey(user) for user in ("ann", "bob", "cat")] == [[], [], ["Cohort Entered"]]


def test_a_move_of_a_user_who_is_healed_has_its_event(proof: "Proof") -> None:
    """Segment lost the identify of a user who entered, and that of one who exited."""
    proof.sync("ann", "cat", events="at-most-once")
    proof.world.segment.loses = {"bob", "cat"}
    proof.sync("ann", "bob", events="at-most-once")
    proof.world.segment.loses = set()
    with pytest.raises(MismatchError):
        proof.prepare(heal=True).run()
    assert proof.report.mismatches == 2

    proof.sync("ann", "cat", events="at-most-once")

    assert proof.world.segment.members(TRAIT) == {"ann", "cat"}
    journeys = [proof.world.segment.journey(user) for user in ("bob", "cat")]
    assert journeys == [["Cohort Exited"], ["Cohort Entered"]]


def test_a_state_that_segment_has_is_matched_to_the_last_user(proof: "Proof") -> None:
    proof.sync("ann", "bob", "cat")
    proof.sync("bob", "cat", "dan")

    report = proof.verify()

    assert (report.sampled, report.matched, report.mismatches, report.ratio) == (4, 4, 0, 0.0)
    # All pairs were asked for, so nothing is left to bound.
    assert (report.upper_bound, report.plan_upper_bound) == (0.0, 0.0)
    assert (report.plan_compared, report.members, report.trait) == (2, 3, TRAIT)


def test_users_lost_behind_a_200_are_found_at_their_rate_healed_exactly_and_then_all_there(proof: "Proof") -> None:
    users = USERS[:600]
    lost = set(users[::20])
    proof.world.segment.loses = set(lost)
    proof.sync(*users)

    with pytest.raises(MismatchError) as failed:
        proof.prepare(sample_size=300, heal=True, recheck_seconds=6).run()

    found = proof.report
    assert (found.sampled, found.different, found.suppressed) == (300, 0, 0)
    assert found.ratio is not None
    assert found.upper_bound is not None
    assert 0 < found.ratio < found.upper_bound
    assert 0.05 <= found.upper_bound < 0.13
    assert found.healed == found.mismatches == len(mismatched(proof)) == failed.value.healed
    healed, identifies = mismatched(proof), proof.world.segment.identifies
    assert healed < lost
    proof.world.segment.loses = set()

    proof.sync(*users)

    assert proof.world.segment.identifies - identifies == len(healed)
    assert proof.world.segment.members(TRAIT) == (set(users) - lost) | healed
    # A sample of everyone finds the others, and after another sync the next verification is clean.
    proof.prepare(sample_size=1_000, heal=True, recheck_seconds=0, max_mismatch_ratio=1.0).run()
    assert mismatched(proof) == lost - healed
    proof.sync(*users)
    clean = proof.verify(sample_size=1_000)
    assert (clean.matched, clean.mismatches, clean.upper_bound) == (600, 0, 0.0)
    assert proof.world.segment.members(TRAIT) == set(users)


def test_the_sample_is_half_of_the_last_plan_and_holds_former_members_too(proof: "Proof") -> None:
    proof.sync(*USERS)
    proof.sync(*USERS[:1_950], "new")

    report = proof.verify(sample_size=80)

    assert (report.sampled, report.matched) == (80, 80)
    assert 40 <= report.plan_compared <= 51
    assert len(set(proof.profile.asked)) == 80
    assert set(proof.profile.asked) & set(USERS[1_950:])


def test_a_retry_draws_the_same_users_and_another_run_draws_others(proof: "Proof") -> None:
    proof.sync(*USERS)
    drawn = []
    for run in (proof.world.run_named("a"), proof.world.run_named("a", 2), proof.world.run_named("b")):
        proof.profile.asked.clear()
        proof.verify(run=run, sample_size=100)
        drawn.append(set(proof.profile.asked))

    assert drawn[0] == drawn[1]
    assert len(drawn[0] & drawn[2]) < 60


def test_no_second_has_more_than_fifty_requests_and_a_thousand_users_take_less_than_half_a_minute(
    proof: "Proof",
) -> None:
    proof.sync(*USERS)
    began = proof.world.clock.now()

    proof.verify(sample_size=1_000, settle_seconds=0)

    assert len(proof.profile.times) == 1_000
    assert proof.profile.most_in_a_second <= 50
    assert proof.world.clock.now() - began < 30


def test_the_limit_holds_while_segment_is_slow(proof: "Proof") -> None:
    """Each request lets a tenth of a second pass before it arrives, as on a network that is held up."""
    proof.sync(*USERS)
    proof.profile.before = lambda _user: proof.world.clock.pass_by(0.1)

    proof.verify(sample_size=200)

    assert proof.profile.most_in_a_second <= 50


def test_the_limit_holds_where_each_user_takes_several_requests(proof: "Proof") -> None:
    """A trait key with a comma is paged for, and an ID with capitals is asked for twice."""
    proof.sync(*USERS[:100])
    proof.profile.requests_a_user = 4

    report = proof.verify()

    assert (report.matched, len(proof.profile.times)) == (100, 400)
    assert proof.profile.most_in_a_second <= 50


def test_a_value_that_comes_late_is_asked_for_again_before_it_counts(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.profile.late["ann"] = proof.world.clock.now() + 200

    report = proof.verify(settle_seconds=0)

    assert (report.matched, report.mismatches) == (2, 0)
    assert proof.profile.asked.count("bob") == 1
    assert proof.profile.asked.count("ann") > 3


def test_a_value_that_comes_after_recheck_seconds_is_a_mismatch(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.profile.late["ann"] = proof.world.clock.now() + 200

    with pytest.raises(MismatchError):
        proof.prepare(settle_seconds=0, recheck_seconds=30).run()

    assert (proof.report.absent, proof.report.matched) == (1, 1)


def test_segment_is_given_time_to_settle_once(proof: "Proof") -> None:
    proof.cohort(["ann"])
    proof.world.prepare("c1").run(wait_for_export=True)
    began = proof.world.clock.now()

    outcome = proof.prepare(settle_seconds=90).run(waits=False)
    assert isinstance(outcome, Unsettled)
    assert 0 < outcome.seconds <= 90
    assert proof.profile.asked == []

    proof.verify(settle_seconds=90)
    assert proof.world.clock.now() - began >= outcome.seconds
    assert proof.prepare(settle_seconds=90).run(waits=False) == proof.last.report


def test_a_clock_that_is_wrong_by_a_day_does_not_prolong_the_wait(proof: "Proof") -> None:
    proof.cohort(["ann"])
    proof.world.sync("c1", ahead=86_400.0)

    outcome = proof.prepare(settle_seconds=60).run(waits=False)

    assert outcome == Unsettled(60.0)


def test_the_counts_stand_beside_what_was_acknowledged(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.world.clock.pass_by(7_200)
    proof.sync("ann", "cat", "dan")
    proof.public.others, proof.public.filtered = 5, {"unplanned": 1}
    proof.world.clock.pass_by(7_200)

    report = proof.verify()

    assert (report.source_id, report.acknowledged, report.received) == ("source-default", 3, 8)
    assert (report.failed, report.filtered) == ({}, {"unplanned": 1})
    assert report.counted_since is not None
    assert report.counted_since.endswith(":00.000Z")


def test_without_a_space_only_counts_are_reported_and_the_task_succeeds(proof: "Proof") -> None:
    proof.spaces.clear()
    proof.sync("ann")

    report = proof.verify()

    assert (report.sampled, report.ratio, report.upper_bound, report.received) == (None, None, None, 1)


def test_a_token_that_sees_no_keys_leaves_the_counts_unknown(proof: "Proof") -> None:
    proof.public.shows_keys = False
    proof.sync("ann")

    report = proof.verify()

    assert (report.source_id, report.received, report.acknowledged, report.matched) == (None, None, 1, 1)


def test_a_sync_without_changes_has_no_delivery_to_count(proof: "Proof") -> None:
    proof.sync("ann")
    proof.sync("ann")

    report = proof.verify()

    assert (report.acknowledged, report.received, report.plan_compared, report.matched) == (0, None, 0, 1)


def test_suppressed_users_are_counted_over_the_whole_ledger_and_are_no_mismatch(proof: "Proof") -> None:
    suppressed = USERS[:40]
    proof.world.segment.loses = set(suppressed)
    proof.public.suppressed = [*suppressed, "stranger", "lone \ud800 surrogate"]
    proof.sync(*USERS)

    report = proof.verify(sample_size=100)

    assert (report.members, report.suppressed_members) == (2_000, 40)
    assert (report.sampled, report.matched + report.suppressed, report.mismatches) == (100, 100, 0)
    assert not set(proof.profile.asked) & set(suppressed)


def test_users_in_doubt_are_not_in_the_sample(proof: "Proof") -> None:
    proof.world.segment.poisoned = {"bob"}
    proof.cohort(["ann", "bob"])
    proof.world.sync("c1", on_rejected="warn")

    report = proof.verify()

    assert (report.sampled, report.matched, report.members) == (1, 1, 1)


def test_a_former_member_without_a_trait_is_matched_and_one_who_is_still_true_is_not(proof: "Proof") -> None:
    proof.sync("ann", "bob", "cat")
    proof.world.segment.loses = {"bob"}
    proof.sync("cat")
    proof.profile.late["ann"] = float("inf")

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=0).run()

    assert (proof.report.matched, proof.report.different) == (2, 1)
    assert mismatched(proof) == {"bob"}


def test_two_ids_that_differ_in_case_only_are_a_class_of_their_own(proof: "Proof") -> None:
    proof.profile.lower_case = True
    proof.sync("Ann", "ann", "bob")
    proof.sync("Ann", "bob")

    report = proof.verify(recheck_seconds=0, heal=True)

    assert (report.matched, report.shares_profile, report.mismatches, report.healed) == (2, 1, 0, 0)


def test_two_ids_of_one_profile_with_two_values_are_a_class_of_their_own(proof: "Proof") -> None:
    proof.sync("ann", "bob", "cat")
    proof.sync("ann", "cat")
    proof.profile.merged = {"ann": "bob"}

    report = proof.verify(recheck_seconds=0)

    assert (report.matched, report.shares_profile, report.mismatches) == (2, 1, 0)


def test_two_ids_of_one_profile_with_one_value_explain_no_mismatch(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob", "cat")
    proof.profile.merged = {"ann": "bob"}

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=0).run()

    assert (proof.report.absent, proof.report.shares_profile) == (2, 0)


def test_a_user_id_that_segment_cannot_read_is_unreadable_and_the_others_are_compared(proof: "Proof") -> None:
    proof.profile.unreadable = {"a+b@example.com"}
    proof.sync("a+b@example.com", "bob")

    report = proof.verify()

    assert (report.unreadable, report.matched, report.ratio) == (1, 1, 0.0)


def test_a_profile_api_that_can_read_no_user_is_a_fault_and_no_class(proof: "Proof") -> None:
    proof.profile.unreadable = set(USERS[:10])
    proof.sync(*USERS[:10])

    with pytest.raises(SegmentApiUnavailableError) as failed:
        proof.prepare().run()

    assert failed.value.status == 500


def test_a_trait_key_with_a_comma_is_asked_for_as_it_is(proof: "Proof") -> None:
    proof.world.amplitude.cohort("c1", "Power, Users", ["ann"])
    proof.world.sync("c1")

    report = proof.verify()

    assert (report.trait, report.matched) == ("Power, Users (c1)", 1)


def test_after_a_rename_the_retired_trait_is_verified_too(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.world.amplitude.cohort("c1", "Heavy Users", ["ann", "bob"])
    proof.world.sync("c1", max_exit_ratio=None)

    report = proof.verify()

    assert (report.trait, report.sampled, report.matched, report.members) == ("Heavy Users (c1)", 4, 4, 2)


def test_user_properties_do_not_disturb_the_sample_and_stay_in_a_healed_state(proof: "Proof") -> None:
    proof.world.amplitude.properties = {"ann": {"plan": "gold"}, "bob": {"plan": "free"}}
    proof.world.segment.loses = {"bob"}
    proof.cohort(["ann", "bob"])
    proof.world.sync("c1", user_properties=("plan",))

    with pytest.raises(MismatchError):
        proof.prepare(heal=True, recheck_seconds=0).run()

    assert (proof.report.sampled, proof.report.healed) == (2, 1)
    proof.world.segment.loses = set()
    proof.world.sync("c1", user_properties=("plan",))
    assert proof.world.report.destinations[0].planned == 1
    assert proof.verify(run=proof.world.run_named("again")).matched == 2


def test_an_api_that_is_down_for_a_while_is_waited_for(proof: "Proof") -> None:
    proof.sync(*USERS[:50])
    proof.profile.script.extend([None] * 10 + [RetryLater(503)] * 6 + [RetryLater(429, 45.0)])

    report = proof.verify()

    assert (report.matched, report.unanswered) == (50, 0)


def test_an_api_that_stays_down_fails_the_task_with_what_is_known(proof: "Proof") -> None:
    proof.sync(*USERS[:100])
    asked = threading.Semaphore(0)

    def go_down(_user: str) -> None:
        asked.release()
        if len(proof.profile.asked) >= 40:
            proof.profile.is_down = True

    proof.profile.before = go_down

    with pytest.raises(SegmentApiUnavailableError) as failed:
        proof.prepare().run()

    known = proof.report
    assert failed.value.retryable
    assert (known.sampled, known.mismatches, known.upper_bound) == (100, 0, None)
    assert known.matched >= 40
    assert known.matched + known.unanswered == 100
    assert "503" in (known.error or "")
    assert json.loads(proof.file(f"verification/{known.generation}.json") or b"")["destinations"][0]["unanswered"] > 0
    # It does not ask each user while the API is down.
    assert len(proof.profile.times) < 40 + 16 * 25


def test_a_mismatch_that_could_not_be_asked_again_is_no_mismatch(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")

    def go_down(_user: str) -> None:
        proof.profile.is_down = len(proof.profile.asked) >= 2

    proof.profile.before = go_down

    with pytest.raises(SegmentApiUnavailableError):
        proof.prepare(heal=True).run()

    assert (proof.report.matched, proof.report.mismatches, proof.report.unanswered) == (1, 0, 1)
    assert (proof.report.healed, mismatched(proof)) == (0, set())


@pytest.mark.parametrize("method", ["sources", "identify_counts", "suppressed_users"])
def test_a_public_api_that_is_down_keeps_no_user_from_being_asked_for(proof: "Proof", method: str) -> None:
    proof.sync("ann", "bob")
    proof.public.faults[method] = SegmentApiUnavailableError("segment_api", "what was received", 503, "busy")

    with pytest.raises(SegmentApiUnavailableError):
        proof.prepare().run()

    assert (proof.report.matched, proof.report.members) == (2, 2)
    assert "busy" in (proof.report.error or "")


def test_without_the_list_of_suppressed_users_no_mismatch_counts(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    proof.public.faults["suppressed_users"] = SegmentApiUnavailableError(
        "segment_api", "whom it suppresses", 503, "busy"
    )

    with pytest.raises(SegmentApiUnavailableError):
        proof.prepare(heal=True, recheck_seconds=0).run()

    found = proof.report
    assert (found.matched, found.mismatches, found.unanswered, found.healed) == (1, 0, 1, 0)
    assert found.suppressed_members is None


def test_a_sync_of_three_days_ago_is_verified_without_its_counts(proof: "Proof") -> None:
    proof.sync("ann")
    proof.world.clock.pass_by(3 * 86_400)

    report = proof.verify()

    assert (report.matched, report.acknowledged, report.received, report.counted_since) == (1, 1, None, None)


def test_a_refused_token_fails_the_task_without_a_retry(proof: "Proof") -> None:
    proof.sync("ann")
    proof.public.faults["sources"] = SegmentApiRefusedError("segment_api", "which sources there are", 401)

    with pytest.raises(SegmentApiRefusedError) as failed:
        proof.prepare().run()

    assert not failed.value.retryable


def test_one_destination_that_cannot_be_verified_keeps_no_other_from_being_so(proof: "Proof") -> None:
    proof.cohort(["ann", "bob"])
    proof.world.sync("c1", keys=("default", "second"))
    proof.spaces["second"] = FakeProfileApi(proof.world.segment, proof.world.clock, "second")
    proof.profile.is_down = True

    with pytest.raises(SegmentApiUnavailableError):
        proof.prepare(keys=("default", "second")).run()

    first, second = proof.last.report.destinations
    assert (first.matched, second.matched, second.error) == (0, 2, None)


def test_a_ratio_up_to_the_limit_succeeds_and_lists_the_users(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob", "cat", "dan")

    report = proof.verify(recheck_seconds=0, max_mismatch_ratio=0.25)

    assert (report.mismatches, report.ratio) == (1, 0.25)
    content = (proof.file("verification/1.csv") or b"").decode()
    assert content.splitlines() == ["user_id,trait,value,found,verdict", f"bob,{TRAIT},true,no profile,absent"]


def test_another_senders_value_is_not_quoted(proof: "Proof") -> None:
    proof.sync("ann", "bob")
    proof.profile.script.extend([TraitFound("private"), TraitFound("private")])

    with pytest.raises(MismatchError):
        proof.prepare(recheck_seconds=0).run()

    assert b"private" not in (proof.file("verification/1.csv") or b"")
    assert proof.report.different == 2


def test_a_cohort_that_was_never_synced_is_refused(proof: "Proof") -> None:
    proof.sync("ann")

    with pytest.raises(LedgerNotFoundError):
        proof.prepare(keys=("second",)).run()

    assert "no ledger" in (proof.report.error or "")


def test_a_sync_that_is_running_is_waited_for_by_a_retry(proof: "Proof") -> None:
    proof.sync("ann")

    def die(name: str) -> None:
        if "commit-" in name:
            raise Killed

    proof.cohort(["ann", "bob"])
    proof.world.store.before_write = die
    with pytest.raises(Killed):
        proof.world.attempt("c1", run="b")
    proof.world.store.before_write = lambda _name: None

    # The worker was killed, so nothing released its claim.
    take_claim(
        proof.world.store, find_streams(proof.world.store)[0], proof.world.run_named("b", 2), proof.world.clock.now()
    )
    with pytest.raises(ClaimHeldError) as running:
        proof.prepare().run()
    assert running.value.retryable
    proof.world.clock.pass_by(3_600)
    with pytest.raises(UnfinishedSyncError) as failed:
        proof.prepare().run()
    assert (failed.value.generation, failed.value.retryable) == (2, False)


def test_a_sync_that_did_not_end_is_named(proof: "Proof") -> None:
    proof.sync("ann")
    proof.cohort(["ann", "bob"])
    proof.world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        proof.world.attempt("c1")

    with pytest.raises(UnfinishedSyncError, match="plan 2 has no commit"):
        proof.prepare().run()


def test_mismatches_that_a_newer_sync_may_have_made_are_neither_listed_nor_healed(proof: "Proof") -> None:
    proof.sync("ann", "bob")

    def sync_once(_user: str) -> None:
        proof.profile.before = lambda _user: None
        proof.sync("bob")

    proof.profile.before = sync_once

    with pytest.raises(NewerSyncError):
        proof.prepare(heal=True, recheck_seconds=0, settle_seconds=0).run()

    assert mismatched(proof) == set()
    proof.sync("bob")
    assert proof.world.report.destinations[0].planned == 0


def test_a_verification_holds_no_claim_while_it_asks(proof: "Proof") -> None:
    proof.sync("ann")
    claims = sum("claim-" in name for name in proof.world.store.objects)

    proof.verify()

    assert sum("claim-" in name for name in proof.world.store.objects) == claims


def test_a_task_that_is_stopped_ends_soon_and_is_retried(proof: "Proof") -> None:
    proof.sync(*USERS[:200])
    proof.profile.before = lambda _user: proof.stop.set()

    with pytest.raises(VerificationStoppedError) as failed:
        proof.prepare().run()

    assert failed.value.retryable
    assert len(proof.profile.asked) < 200


def test_nothing_is_healed_while_a_sync_holds_the_claim(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    take_claim(
        proof.world.store, find_streams(proof.world.store)[0], proof.world.run_named("b"), proof.world.clock.now()
    )
    proof.world.clock.pass_by(-0.5)

    with pytest.raises(ClaimHeldError):
        proof.prepare(heal=True, recheck_seconds=0).run()

    assert proof.report.healed == 0
    assert "run 'b'" in (proof.report.error or "")


def test_a_kill_before_any_write_of_a_healing_loses_nothing(make_proof: Callable[[str], "Proof"]) -> None:
    """The retry, and the syncs after it, end with every user that was lost, and none that left."""
    write, killed = 1, True
    while killed:
        proof = make_proof(f"killed-{write}")
        proof.world.segment.loses = {"bob", "cat"}
        proof.sync("ann", "bob", "cat", "dan")
        proof.world.store.die_before_write(write)
        try:
            with pytest.raises(MismatchError):
                proof.prepare(heal=True, recheck_seconds=0).run()
            killed = False
        except Killed:
            killed = True
        proof.world.store.revive()
        proof.world.segment.loses = set()

        # Behind the healing commit only the sync helps.
        with suppress(UnsentUsersError):
            proof.prepare(
                run=proof.world.run_named("verify", 2), heal=True, recheck_seconds=0, max_mismatch_ratio=1
            ).run()
        proof.world.clock.pass_by(3_600)
        proof.sync("ann", "bob", "cat")

        assert proof.world.segment.members(TRAIT) == {"ann", "bob", "cat"}, f"killed before write {write}"
        assert proof.verify(run=proof.world.run_named("last")).matched == 4
        write += 1
    assert write > 6


def test_a_healed_ledger_still_knows_the_sync_that_airflow_recorded(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    proof.prepare(heal=True, recheck_seconds=0, max_mismatch_ratio=1).run()
    proof.world.segment.loses = set()

    proof.world.sync("c1", recorded={"dst-default": 1})

    assert proof.world.segment.members(TRAIT) == {"ann", "bob"}
    assert proof.world.report.destinations[0].in_doubt == 1


def test_progress_names_counts_only(proof: "Proof") -> None:
    proof.sync("ann", "bob")

    proof.verify()

    assert {"step": "Verify segment_default"} in proof.shown
    assert proof.shown[-1] == {"destination": "segment_default", "asked": 2, "sampled": 2}


def test_a_report_is_plain_json_without_a_user_and_refuses_to_be_returned_whole(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob@example.com"}
    proof.sync("ann@example.com", "bob@example.com")
    proof.prepare(recheck_seconds=0, max_mismatch_ratio=1).run()

    assert "example.com" not in json.dumps(proof.last.report.as_dict())
    with pytest.raises(XComValueError):
        proof.last.report.serialize()


def test_an_erased_user_is_not_named_by_the_list_of_a_verification(proof: "Proof", tmp_path: Path) -> None:
    """The report beside it holds counts, and is no file with users, whatever a user is called."""
    proof.world.segment.loses = {"bob", "1"}
    proof.sync("ann", "bob", "1")
    proof.prepare(recheck_seconds=0, max_mismatch_ratio=1).run()
    (stream,) = find_streams(proof.world.store)
    scratch = tmp_path / "erasure"
    scratch.mkdir()
    ports = MaintenancePorts(proof.world.store, proof.world.run_named("a person"), proof.world.clock, scratch)

    erased = erase_users(ports, stream, ["bob", "1"])

    assert (erased.files, erased.left) == (1, ())
    assert b"bob" not in (proof.file("verification/1.csv") or b"")
    assert proof.verify(run=proof.world.run_named("later")).matched == 1


def test_a_retired_cohort_leaves_no_list_of_a_verification(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    proof.sync("ann", "bob")
    proof.prepare(recheck_seconds=0, max_mismatch_ratio=1).run()
    assert b"bob" in (proof.file("verification/1.csv") or b"")

    proof.world.retire("c1")

    assert proof.file("verification/1.csv") is None
    assert proof.file("verification/1.json") is not None


def test_files_of_a_verification_are_kept_as_long_as_its_commit_and_healings_push_out_no_sync(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob"}
    for day in range(5):
        proof.sync("ann", "bob", f"user{day}", keep_snapshots=3)
        proof.prepare(
            run=proof.world.run_named(f"v{day}"), recheck_seconds=0, settle_seconds=0, heal=True, max_mismatch_ratio=1
        ).run()
    proof.sync("ann", "bob", keep_snapshots=3)

    names = proof.world.store.objects
    # Each odd one is a sync's, and each even one a healing's.
    kept = [7, 8, 9, 10, 11]
    assert sorted(int(n.rsplit("-", 1)[1][:-5]) for n in names if "/commit-" in n) == kept
    verified = {int(name.rsplit("/", 1)[1].partition(".")[0]) for name in names if "/verification/" in name}
    assert verified == {7, 9}
