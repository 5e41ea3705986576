"""Two syncs of one stream in two processes: one of them tells Segment, always."""

from __future__ import annotations

import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

import pytest
from rivals.rival import Order, Place, Rival, stream

from airflow_provider_amplitude_segment.core.ledger.claim import CLAIM_SECONDS, newest_generation, take_claim
from airflow_provider_amplitude_segment.core.ledger.stream import Run
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

    from rivals.rival import Ending

    Contents = Callable[[str], dict[str, bytes]]

ROUNDS = 20
WITHIN_SECONDS = 20

WRITTEN_ON_WAKING = {
    # A plan is one write with the file it names: the look comes after both.
    "changes-1.parquet": {"changes-1.parquet", "plan-1.json"},
    "plan-1.json": {"plan-1.json"},
    "acked-1-1.json": {"acked-1-1.json"},
    "snapshot-1-1.parquet": {"snapshot-1-1.parquet"},
}


def new_cohort(sandbox: Sandbox, cohort_id: str, members: int) -> set[str]:
    """Make a cohort; Amplitude and Segment forget what came before."""
    sandbox.faults.clear()
    sandbox.amplitude.forget()
    sandbox.segment.forget()
    users = [f"{cohort_id}-user{number}" for number in range(members)]
    sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(cohort_id, "Power Users", users)
    return set(users)


def assert_sent_once(sandbox: Sandbox, cohort_id: str, users: set[str]) -> None:
    """Segment believes the cohort, one export is spent, and nobody was told under two message IDs."""
    assert sandbox.compare(cohort_id).equal
    assert sandbox.amplitude.exports_spent == 1
    told = [kept.message["userId"] for kept in sandbox.segment.messages_by_id.values()]
    assert len(told) == len(set(told)) == len(users)


def wake_later(owner: Rival) -> Ending:
    """Wake an owner after the second for which a look at the claims counts; return how it ended."""
    owner.wake(later=1.1)
    return owner.end()


def race(rivals: tuple[Rival, Rival], cohort_id: str, **order: bool) -> dict[str, Ending]:
    """Let both begin at the same moment; return how each ended, by the name of its run."""
    begin_together(rivals, cohort_id, **order)
    return endings_of(rivals, cohort_id)


def race_while_one_sends(rivals: tuple[Rival, Rival], cohort_id: str, may_send: Event) -> dict[str, Ending]:
    """Let both begin at the same moment, and one send only when the other has ended; return how each ended."""
    may_send.clear()
    begin_together(rivals, cohort_id, holds_batches=True)
    first_to_end = wait([rival.pipe for rival in rivals], WITHIN_SECONDS)
    may_send.set()
    assert first_to_end, "both hold the claim"
    return endings_of(rivals, cohort_id)


def begin_together(rivals: tuple[Rival, Rival], cohort_id: str, **order: bool) -> None:
    for name, rival in zip("ab", rivals, strict=True):
        rival.begin(Order(cohort_id, f"{cohort_id}-{name}", together=True, **order))


def endings_of(rivals: tuple[Rival, Rival], cohort_id: str) -> dict[str, Ending]:
    return {f"{cohort_id}-{name}": rival.end() for name, rival in zip("ab", rivals, strict=True)}


def assert_one_won_and_is_named(endings: dict[str, Ending]) -> None:
    ((winner, _),) = [(run, ending) for run, ending in endings.items() if ending.kind == "done"]
    ((_, held_out),) = [(run, ending) for run, ending in endings.items() if run != winner]
    assert held_out.kind == "ClaimHeldError"
    assert f"run {winner!r}" in held_out.text


def test_of_twenty_pairs_that_claim_in_the_same_instant_one_of_each_wins(
    place: Place, rivals: tuple[Rival, Rival]
) -> None:
    for number in range(ROUNDS):
        cohort_id = f"claim{number}"

        assert_one_won_and_is_named(race(rivals, cohort_id, only_claim=True))

        assert newest_generation(place.open_store().names(stream(cohort_id).folder)) == 1


def test_of_twenty_pairs_of_syncs_that_begin_together_one_of_each_wins(
    sandbox: Sandbox, rivals: tuple[Rival, Rival], may_send: Event
) -> None:
    for number in range(ROUNDS):
        cohort_id = f"pair{number}"
        users = new_cohort(sandbox, cohort_id, 30)

        endings = race_while_one_sends(rivals, cohort_id, may_send)

        assert_one_won_and_is_named(endings)
        assert_sent_once(sandbox, cohort_id, users)


def test_of_twenty_pairs_that_take_over_an_expired_claim_one_of_each_wins(
    place: Place, sandbox: Sandbox, rivals: tuple[Rival, Rival], may_send: Event
) -> None:
    store = place.open_store()
    for number in range(ROUNDS):
        cohort_id = f"expired{number}"
        users = new_cohort(sandbox, cohort_id, 30)
        take_claim(store, stream(cohort_id), Run("run 'dead'", "dead"), time.time() - CLAIM_SECONDS - 1)

        endings = race_while_one_sends(rivals, cohort_id, may_send)

        assert_one_won_and_is_named(endings)
        assert_sent_once(sandbox, cohort_id, users)


def test_an_owner_stopped_while_it_tells_sends_and_writes_nothing_more_when_it_wakes_beside_its_own_retry(
    contents: Contents, sandbox: Sandbox, rivals: tuple[Rival, Rival]
) -> None:
    owner, retry = rivals
    for number in range(ROUNDS):
        cohort_id = f"woken{number}"
        users = new_cohort(sandbox, cohort_id, 6_000)
        # The first batch is alone; then two are in flight, taken and not answered until the owner has stopped.
        sandbox.faults.add(Fault(on="segment.batch", after=1, times=2, apply=True, delay_seconds=50))
        owner.begin(Order(cohort_id, cohort_id))
        while sandbox.segment.batches_received < 3:
            time.sleep(0.002)
        owner.stop()
        sandbox.faults.clear()

        assert retry.do(Order(cohort_id, cohort_id, try_number=2)).kind == "done"

        batches, written = sandbox.segment.batches_received, contents(stream(cohort_id).folder)
        assert wake_later(owner).kind == "ClaimLostError"
        assert sandbox.segment.batches_received == batches
        assert contents(stream(cohort_id).folder) == written
        assert_sent_once(sandbox, cohort_id, users)


@pytest.mark.parametrize("entry", ["changes-1.parquet", "plan-1.json", "acked-1-1.json", "snapshot-1-1.parquet"])
def test_an_owner_stopped_before_a_write_ends_that_one_and_no_other_when_it_wakes_beside_its_own_retry(
    contents: Contents, sandbox: Sandbox, rivals: tuple[Rival, Rival], entry: str
) -> None:
    """Before it sends or commits anything it sees the retry's claim; a batch that was in its hand may still leave."""
    owner, retry = rivals
    for number in range(3):
        cohort_id = f"{entry}{number}"
        users = new_cohort(sandbox, cohort_id, 6_000)
        owner.begin(Order(cohort_id, cohort_id, stops_before_writing=entry))
        owner.wait_until_stopped()

        assert retry.do(Order(cohort_id, cohort_id, try_number=2)).kind == "done"

        batches, written = sandbox.segment.batches_received, contents(stream(cohort_id).folder)
        assert wake_later(owner).kind == "ClaimLostError"
        in_flight = 1 if entry.startswith("acked") else 0
        assert sandbox.segment.batches_received <= batches + in_flight
        after = contents(stream(cohort_id).folder)
        assert {name for name in after if after[name] != written.get(name)} <= WRITTEN_ON_WAKING[entry]
        assert_sent_once(sandbox, cohort_id, users)
