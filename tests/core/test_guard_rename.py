"""The guards after a rename: they count the users whom Segment has as ``true``, under whichever key that was sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fakes.world import World

from airflow_provider_amplitude_segment.core.export.approval import Approval
from airflow_provider_amplitude_segment.core.export.run_checkpoint import keep_approval
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
from airflow_provider_amplitude_segment.core.report.question import Question
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.exceptions import EmptyCohortError, ExitRatioError, SegmentUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = [f"user{number}" for number in range(200)]
STAYING = MEMBERS[:50]
OLD, NEW = "Power Users (c1)", "VIPs (c1)"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose cohort had 200 members at the last sync."""
    world = World(tmp_path)
    world.amplitude.cohort("c1", "Power Users", MEMBERS)
    world.sync("c1")
    return world


def believed(world: World) -> tuple[int, int]:
    return len(world.segment.members(OLD)), len(world.segment.members(NEW))


def approve(world: World, question: Question, run: str = "r") -> None:
    stream = Stream(question.app_id, question.cohort_id, Destination("", ""))
    keep_approval(
        world.store, stream, world.run_named(run), Approval(question.export_request_id, question.starts, "alice")
    )


@pytest.mark.parametrize("sync_mode", ["incremental", "full"])
def test_a_mere_rename_trips_no_guard(world: World, sync_mode: str) -> None:
    world.amplitude.cohort("c1", "VIPs", MEMBERS)

    world.sync("c1", max_exit_ratio=0.0, sync_mode=sync_mode)

    assert believed(world) == (0, 200)


@pytest.mark.parametrize("sync_mode", ["incremental", "full"])
@pytest.mark.parametrize("on_trait_change", ["retire", "take-over", "keep"])
def test_members_who_leave_together_with_a_rename_trip_the_ratio(
    world: World, on_trait_change: str, sync_mode: str
) -> None:
    world.amplitude.cohort("c1", "VIPs", [*STAYING, "new"])

    with pytest.raises(ExitRatioError) as refused:
        world.attempt("c1", on_trait_change=on_trait_change, sync_mode=sync_mode)

    assert (refused.value.leaving, refused.value.told) == (150, 200)
    assert believed(world) == (200, 0)


def test_a_person_is_asked_about_members_who_leave_together_with_a_rename(world: World) -> None:
    world.amplitude.cohort("c1", "VIPs", STAYING)

    question = world.attempt("c1", run="r", on_guard="ask")

    assert isinstance(question, Question)
    [asked] = question.destinations
    assert (asked.known, asked.would_enter, asked.would_exit) == (200, 50, 150)
    approve(world, question)
    world.deferred.add("r")
    assert world.sync("c1", run="r", on_guard="ask").destinations[0].approved_by == "alice"
    assert believed(world) == (0, 50)


def test_a_few_who_leave_together_with_a_rename_are_sent(world: World) -> None:
    world.amplitude.cohort("c1", "VIPs", MEMBERS[:101])

    world.sync("c1")

    assert believed(world) == (0, 101)


def test_members_who_leave_trip_the_ratio_after_a_rename_that_was_interrupted(world: World) -> None:
    """Part of the users is true under the old key still, part under the new one, and part under both."""
    world.amplitude.cohort("c1", "VIPs", MEMBERS)
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1")
    world.segment.refuses_connections = False
    world.amplitude.cohort("c1", "VIPs", STAYING)

    with pytest.raises(ExitRatioError) as refused:
        world.attempt("c1")

    assert (refused.value.leaving, refused.value.told) == (150, 200)


def test_a_rename_back_counts_each_user_once(world: World) -> None:
    world.amplitude.cohort("c1", "VIPs", MEMBERS)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", STAYING)

    with pytest.raises(ExitRatioError) as refused:
        world.attempt("c1")

    assert (refused.value.leaving, refused.value.told) == (150, 200)


def test_a_cohort_that_is_empty_after_a_rename_trips_the_other_guard(world: World) -> None:
    world.amplitude.cohort("c1", "VIPs", [])

    with pytest.raises(EmptyCohortError):
        world.attempt("c1")


def test_an_approval_given_before_a_rename_does_not_let_the_renamed_cohort_through(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", STAYING)
    question = world.attempt("c1", run="r", on_guard="ask")
    assert isinstance(question, Question)
    world.deferred.add("r")
    world.amplitude.cohort("c1", "VIPs", STAYING)
    approve(world, question)

    again = world.attempt("c1", run="r", on_guard="ask")

    assert isinstance(again, Question)
    assert again.code != question.code
    assert believed(world) == (200, 0)


def test_an_approval_that_no_longer_holds_is_named_in_the_log_when_no_guard_trips(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c1", "Power Users", STAYING)
    question = world.attempt("c1", run="r", on_guard="ask")
    assert isinstance(question, Question)
    world.deferred.add("r")
    approve(world, question)
    world.sync("c1", run="other", max_exit_ratio=None)

    report = world.sync("c1", run="r", on_guard="ask")

    assert isinstance(report, SyncReport)
    assert report.destinations[0].approved_by is None
    assert "alice answered 'Send anyway', and that approval does not hold: the export, the state" in caplog.text


def test_an_answer_about_an_export_that_the_run_no_longer_has_is_named_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c1", "Power Users", STAYING)
    question = world.attempt("c1", run="r", on_guard="ask")
    assert isinstance(question, Question)

    approve(world, replace(question, export_request_id="another"))

    assert "The answer of alice is not kept" in caplog.text
