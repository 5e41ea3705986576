"""A guard that asks: what is asked, what an approval lets through, and when the question is put again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes.world import World

from airflow_provider_amplitude_segment.core.export.approval import Approval
from airflow_provider_amplitude_segment.core.export.run_checkpoint import keep_approval, read_checkpoint
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
from airflow_provider_amplitude_segment.core.report.outcome import Skipped
from airflow_provider_amplitude_segment.core.report.question import AlsoSent, Question
from airflow_provider_amplitude_segment.core.report.question_text import body_of
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.exceptions import EmptyCohortError, ExitRatioError, SegmentUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = [f"user{number}" for number in range(200)]
STAYING = MEMBERS[:50]
TRAIT = "Power Users (c1)"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose cohort had 200 members at the last sync, and has 50 now."""
    world = World(tmp_path)
    world.amplitude.cohort("c1", "Power Users", MEMBERS)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", STAYING)
    return world


def ask(world: World, run: str = "r", **settings: object) -> Question:
    outcome = world.attempt("c1", run=run, on_guard="ask", **settings)
    assert isinstance(outcome, Question)
    # The task that waits resumes in the same try.
    world.deferred.add(run)
    return outcome


def approve(world: World, question: Question, run: str = "r", by: str = "alice") -> None:
    approval = Approval(question.export_request_id, question.starts, by)
    stream = Stream(question.app_id, question.cohort_id, Destination("", ""))
    keep_approval(world.store, stream, world.run_named(run), approval)


def believed(world: World, key: str = "default") -> set[str]:
    return world.segment.members(TRAIT, key)


def test_a_question_has_the_numbers_the_file_and_the_last_syncs_and_nothing_is_sent(world: World) -> None:
    sent = len(believed(world))

    question = ask(world)

    assert len(believed(world)) == sent == 200
    [asked] = question.destinations
    assert (asked.known, asked.would_enter, asked.would_exit, asked.ratio) == (200, 0, 150, 0.75)
    assert asked.limit == "max_exit_ratio=0.5"
    assert [(past.entered, past.exited, past.known) for past in asked.past] == [(200, 0, 200)]
    assert asked.planned_changes is not None
    assert asked.planned_changes.endswith("dry-runs/r.csv")
    assert world.report.destinations[0].planned_changes == asked.planned_changes


def test_an_approved_sync_sends_the_same_export_and_says_who_approved_it(world: World) -> None:
    exports = world.amplitude.exports_spent
    approve(world, ask(world))

    report = world.sync("c1", run="r", on_guard="ask")

    assert believed(world) == set(STAYING)
    assert world.amplitude.exports_spent == exports + 1
    assert report.destinations[0].approved_by == "alice"
    commit = Ledger(world.store, Stream("1234", "c1", world.destination()).folder).newest()
    assert commit is not None
    assert commit.approved_by == "alice"
    assert world.sync("c1").destinations[0].approved_by is None


def test_while_a_person_is_asked_another_run_is_let_in(world: World) -> None:
    ask(world)

    assert isinstance(world.attempt("c1", run="other", max_exit_ratio=None), SyncReport)


def test_a_question_of_a_try_that_was_not_answered_is_put_again_with_the_same_export(world: World) -> None:
    first = ask(world)

    again = ask(world)

    assert again.code == first.code
    assert again.export_request_id == first.export_request_id


def test_an_approval_does_not_hold_after_the_state_moved(world: World) -> None:
    """Another run has meanwhile sent 300 members, so the approved export is older than what Segment has."""
    question = ask(world)
    world.amplitude.cohort("c1", "Power Users", [*MEMBERS, *(f"new{number}" for number in range(100))])
    world.sync("c1", run="other")
    world.amplitude.cohort("c1", "Power Users", STAYING)
    approve(world, question)

    again = ask(world)

    assert (again.code, again.destinations[0].known) != (question.code, 200)
    assert len(believed(world)) == 300
    approve(world, again, by="bob")
    assert world.sync("c1", run="r", on_guard="ask").destinations[0].approved_by == "bob"
    assert believed(world) == set(STAYING)


def test_a_guard_that_trips_no_more_after_the_state_moved_asks_nothing(world: World) -> None:
    ask(world)
    world.sync("c1", run="other", max_exit_ratio=None)

    report = world.sync("c1", run="r", on_guard="ask")

    assert report.destinations[0].approved_by is None
    assert believed(world) == set(STAYING)


def test_an_approval_does_not_hold_for_other_parameters(world: World) -> None:
    question = ask(world)
    approve(world, question)

    assert ask(world, segment_context={"active": False}).code != question.code


def test_a_worker_that_is_killed_right_after_it_resumed_asks_no_second_question(world: World) -> None:
    exports = world.amplitude.exports_spent
    approve(world, ask(world))
    world.deferred.discard("r")

    report = world.sync("c1", run="r", on_guard="ask")

    assert report.destinations[0].approved_by == "alice"
    assert world.amplitude.exports_spent == exports + 1
    assert believed(world) == set(STAYING)


@pytest.mark.parametrize("identity", [{"clear_number": 1, "max_tries": 4}, {"max_tries": 4}])
def test_an_approval_ends_when_the_task_is_cleared(
    world: World, identity: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Also where only the task was cleared, and the DAG run goes on."""
    question = ask(world)
    approve(world, question)
    world.deferred.discard("r")

    again = ask(world, identity=identity)

    assert again.code == question.code
    assert len(believed(world)) == 200
    assert "alice answered 'Send anyway', and that approval does not hold: the task was cleared" in caplog.text


def test_an_approval_ends_when_the_guard_no_longer_asks(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A person thought better of it before anything was sent, and cleared the task five days later."""
    approve(world, ask(world))
    world.deferred.discard("r")
    world.clock.pass_by(5 * 24 * 3600)

    with pytest.raises(ExitRatioError):
        world.attempt("c1", run="r", on_guard="fail")

    assert len(believed(world)) == 200
    assert "on_guard is no longer 'ask'" in caplog.text
    # The error has deleted the checkpoint, and with it the approval.
    ask(world)


def test_a_try_that_segment_ends_after_the_approval_is_resumed_without_a_question(world: World) -> None:
    approve(world, ask(world))
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="r", on_guard="ask")
    world.segment.refuses_connections = False

    report = world.sync("c1", run="r", on_guard="ask")

    assert report.destinations[0].approved_by == "alice"
    assert believed(world) == set(STAYING)


def test_only_the_destinations_that_trip_are_asked_about_and_all_are_sent(world: World) -> None:
    question = ask(world, keys=("default", "emea"))
    approve(world, question)

    report = world.sync("c1", run="r", keys=("default", "emea"), on_guard="ask")

    assert [asked.segment_conn_id for asked in question.destinations] == ["segment_default"]
    assert question.also_sent == (AlsoSent("segment_emea", known=0, would_enter=50, would_exit=0),)
    body = body_of(question, "24 hours")
    assert "| segment\\_default | 200 | 0 | 150 | 75% | `max_exit_ratio=0.5` |" in body
    assert "| segment\\_emea | 0 | 50 | 0 | 0% | not stopped |" in body
    assert "sends the same export to all 2 destinations, also to those that no guard stopped." in body
    assert [each.approved_by for each in report.destinations] == ["alice", None]
    assert believed(world) == believed(world, "emea") == set(STAYING)


def test_a_destination_with_an_unfinished_plan_of_this_run_is_in_the_question_too(world: World) -> None:
    """An earlier try was killed between the plans of two destinations."""
    both = ("default", "emea")
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="r", keys=both, max_exit_ratio=None)
    world.segment.refuses_connections = False
    folder = Stream("1234", "c1", world.destination()).folder
    [plan] = [name for name in world.store.names(folder) if name.startswith("plan-") and name.endswith(".json")]
    world.store.delete(f"{folder}/{plan}")

    question = ask(world, keys=both)

    assert [asked.segment_conn_id for asked in question.destinations] == ["segment_default"]
    assert question.also_sent == (AlsoSent("segment_emea", known=None, would_enter=50, would_exit=0),)
    assert "| segment\\_emea | unknown | 50 | 0 |  | not stopped |" in body_of(question, "24 hours")


def test_a_suddenly_empty_cohort_is_asked_about_too(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", [])

    question = ask(world)

    [asked] = question.destinations
    assert (asked.known, asked.would_exit, asked.limit) == (200, 200, "on_empty_cohort='fail'")
    assert isinstance(question.error({}), EmptyCohortError)
    approve(world, question)
    world.sync("c1", run="r", on_guard="ask")
    assert believed(world) == set()


def test_a_cohort_that_is_skipped_when_empty_is_not_asked_about(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", [])

    assert isinstance(world.attempt("c1", on_guard="ask", on_empty_cohort="skip"), Skipped)


def test_a_dry_run_reports_what_would_be_asked_and_asks_nothing(world: World) -> None:
    report = world.sync("c1", on_guard="ask", dry_run=True)

    assert "would exit" in str(report.destinations[0].error)


def test_a_guard_that_fails_names_the_file_of_the_planned_changes(world: World) -> None:
    with pytest.raises(ExitRatioError, match=r"The planned changes are listed in \S+dry-runs/r\.csv\.") as caught:
        world.attempt("c1", run="r")

    assert caught.value.planned_changes is not None
    assert len(believed(world)) == 200


def test_a_checkpoint_that_has_another_export_by_now_takes_no_approval(world: World) -> None:
    question = ask(world)

    approve(world, replace(question, export_request_id="another"))

    stream = Stream(question.app_id, "c1", Destination("", ""))
    kept = read_checkpoint(world.store, stream, world.run_named("r"))
    assert kept is not None
    assert kept.approval is None
