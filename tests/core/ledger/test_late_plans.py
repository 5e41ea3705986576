"""An owner that pauses just before it writes its plan, and wakes after the plan before was resumed, does no harm."""

from collections.abc import Callable
from typing import Any

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.core.ledger.claim import CLAIM_SECONDS
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.kept_entries import read_kept_entries
from airflow_provider_amplitude_segment.exceptions import ClaimLostError, SegmentUnavailableError

TRAIT = "Power Users (c1)"


def names(world: World) -> set[str]:
    return {name.rsplit("/", 1)[-1] for name in world.store.objects}


def fail(world: World, run: str, **settings: Any) -> None:
    """Let a run write its plan, and end before Segment acknowledged anything."""
    world.segment.script = [no_response("ConnectionError")] * 20
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run=run, **settings)
    world.segment.script = []


def pause_before_plan(world: World, number: int, meanwhile: Callable[[], object], **settings: Any) -> None:
    """Pause run b just before it writes its plan, for longer than its claim lasts; then let it go on."""

    def wake_later(name: str) -> None:
        if name.endswith(f"plan-{number}.json"):
            world.store.before_write = lambda _name: None
            world.clock.pass_by(CLAIM_SECONDS + 1)
            meanwhile()

    world.store.before_write = wake_later
    with pytest.raises(ClaimLostError):
        world.attempt("c1", run="b", **settings)
    assert f"plan-{number}.json" in names(world)


def test_a_plan_that_is_written_after_its_predecessor_was_committed_is_not_the_newest(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    fail(world, "a")
    pause_before_plan(world, 2, lambda: world.sync("c1", run="a"))
    ledger = Ledger(world.store, Stream("1234", "c1", world.destination()).folder)

    assert str(ledger.entries()[-1]) == "commit-1.json"
    assert read_kept_entries(ledger).newest == ledger.newest()
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    assert world.sync("c1", run="c").destinations[0].planned == 1

    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.former(TRAIT) == {"bob"}
    assert "plan-2.json" not in names(world)


def test_no_event_is_sent_again_for_a_plan_that_does_not_know_it_was_sent(world: World) -> None:
    events: dict[str, Any] = {"events": "at-most-once"}
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1", run="first", **events)
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    fail(world, "a", **events)

    pause_before_plan(world, 3, lambda: world.sync("c1", run="a", **events), **events)
    world.sync("c1", run="c", **events)

    assert world.segment.journey("bob") == ["Cohort Entered"]


def test_a_late_plan_has_its_files_where_the_retry_was_killed_before_it_left_a_journal(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    fail(world, "a")

    def resume_and_die() -> None:
        def kill(name: str) -> None:
            if "acked-1-3" in name:
                raise Killed

        world.store.before_write = kill
        with pytest.raises(Killed):
            world.attempt("c1", run="a")
        world.store.before_write = lambda _name: None

    pause_before_plan(world, 2, resume_and_die)
    world.clock.pass_by(CLAIM_SECONDS + 1)
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1", run="c")

    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.former(TRAIT) == {"bob"}
