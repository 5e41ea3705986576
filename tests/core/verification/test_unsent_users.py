"""Users that a healing set in doubt keep every verification from succeeding until a sync has sent them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from fakes import Killed
from fakes.segment_apis import FakeProfileApi

from airflow_provider_amplitude_segment.exceptions import (
    MismatchError,
    UnsentUsersError,
    VerificationStoppedError,
)

if TYPE_CHECKING:
    # The fixtures' class; conftest modules have no name to import at run time.
    from typing import Any as Proof

TRAIT = "Power Users (c1)"


def heal(proof: "Proof") -> None:
    with pytest.raises(MismatchError):
        proof.prepare(heal=True, recheck_seconds=0).run()


def test_a_cleared_verification_fails_until_the_sync_has_sent_the_healed_users(proof: "Proof") -> None:
    proof.world.segment.loses = {"bob", "cat"}
    proof.sync("ann", "bob", "cat")
    heal(proof)
    asked = len(proof.profile.asked)

    with pytest.raises(UnsentUsersError, match="Run the sync first") as failed:
        proof.prepare(heal=True, recheck_seconds=0).run()

    assert (failed.value.in_doubt, failed.value.generation, failed.value.retryable) == (2, 2, False)
    assert (proof.report.in_doubt, proof.report.error is not None) == (2, True)
    # The users who are not in doubt would look clean.
    assert len(proof.profile.asked) == asked
    proof.world.segment.loses = set()
    proof.sync("ann", "bob", "cat")
    clean = proof.verify()
    assert (clean.matched, clean.in_doubt) == (3, 0)


def test_a_retry_after_a_kill_at_any_write_never_succeeds_while_segment_lacks_users(
    make_proof: Callable[[str], "Proof"],
) -> None:
    write, killed = 1, True
    while killed:
        proof = make_proof(f"killed-{write}")
        proof.world.segment.loses = {"bob", "cat"}
        proof.sync("ann", "bob", "cat", "dan")
        proof.world.store.die_before_write(write)
        try:
            heal(proof)
            killed = False
        except Killed:
            killed = True
        proof.world.store.revive()
        proof.world.clock.pass_by(3_600)

        with pytest.raises((MismatchError, UnsentUsersError)):
            proof.prepare(run=proof.world.run_named("verify", 2), heal=True, recheck_seconds=0).run()

        write += 1
    assert write > 6


def test_users_whom_segment_rejects_are_counted_in_doubt_and_are_no_unsent_ones(proof: "Proof") -> None:
    proof.world.segment.poisoned = {"bob"}
    proof.world.segment.loses = {"cat"}
    proof.cohort(["ann", "bob", "cat"])
    proof.world.sync("c1", on_rejected="warn")
    heal(proof)

    with pytest.raises(UnsentUsersError) as failed:
        proof.prepare().run()

    assert (failed.value.in_doubt, proof.report.in_doubt) == (1, 2)
    proof.world.segment.loses = set()
    proof.world.sync("c1", on_rejected="warn")
    assert (proof.verify().matched, proof.report.in_doubt) == (2, 1)


def two_destinations(proof: "Proof", *, lost_at_first: str) -> None:
    """Both have ann and bob, but Segment lost one user at the first one; the second one's first answer stops all."""
    proof.world.segment.loses = {lost_at_first}
    proof.cohort(["ann", "bob"])
    proof.world.sync("c1", keys=("default",))
    proof.world.segment.loses = set()
    proof.world.sync("c1", keys=("second",))
    second = proof.spaces["second"] = FakeProfileApi(proof.world.segment, proof.world.clock, "second")
    second.before = lambda _user: proof.stop.set()


def test_a_stop_keeps_the_mismatches_that_were_healed_before_it(proof: "Proof") -> None:
    two_destinations(proof, lost_at_first="bob")

    with pytest.raises(MismatchError) as failed:
        proof.prepare(keys=("default", "second"), heal=True, recheck_seconds=0).run()

    assert (failed.value.segment_conn_id, failed.value.healed) == ("segment_default", 1)


def test_a_stop_names_users_that_were_healed_below_the_limit_and_its_retry_waits_for_the_sync(proof: "Proof") -> None:
    two_destinations(proof, lost_at_first="bob")

    with pytest.raises(VerificationStoppedError, match="1 users of other destinations are in doubt") as stopped:
        proof.prepare(keys=("default", "second"), heal=True, recheck_seconds=0, max_mismatch_ratio=1).run()

    assert (stopped.value.retryable, stopped.value.healed) == (True, 1)
    proof.stop.clear()
    proof.spaces["second"].before = lambda _user: None
    with pytest.raises(UnsentUsersError):
        proof.prepare(keys=("default", "second"), heal=True, recheck_seconds=0, max_mismatch_ratio=1).run()
    assert proof.last.report.destinations[1].matched == 2
