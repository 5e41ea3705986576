"""Two tasks that would send one cohort under two trait keys, and so undo each other's, are not let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import TraitConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from fakes import World

THEIRS, OURS = "{cohort_name} ({cohort_id})", "[Amplitude] {cohort_name}"
THEIR_TRAIT, OUR_TRAIT = "Power Users (c1)", "[Amplitude] Power Users"
OTHER_TASK: dict[str, Any] = {"task": "DAG 'weekly', task 'send'"}
BLUE: dict[str, Any] = {"installation": "1", "airflow": "https://blue.example.com"}
GREEN: dict[str, Any] = {"installation": "2", "airflow": "https://green.example.com"}


@pytest.fixture
def synced(world: World) -> World:
    """A world in which the usual task has sent a cohort of two."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", run="first")
    return world


@pytest.fixture
def stream(world: World) -> Stream:
    return Stream("1234", "c1", world.destination())


def test_a_second_task_with_another_template_is_refused_before_an_export_is_spent(synced: World) -> None:
    with pytest.raises(TraitConflictError) as refused:
        synced.attempt("c1", trait_name=OURS, identity=OTHER_TASK, run_configuration={"cohort_id": "c1"})

    assert (synced.amplitude.exports_spent, synced.segment.identifies) == (1, 2)
    assert not refused.value.retryable
    assert refused.value.other_task == "DAG 'dag', task 'sync'"
    assert (refused.value.other_trait, refused.value.trait) == (THEIR_TRAIT, OUR_TRAIT)
    assert refused.value.run_configuration == {"cohort_id": "c1", "on_trait_change": "take-over"}
    for said in ("DAG 'dag', task 'sync'", THEIR_TRAIT, OUR_TRAIT, THEIRS, "destination_id", "Nothing was sent"):
        assert said in str(refused.value)


def test_a_task_that_has_replaced_the_other_is_let_through_once_and_then_needs_nothing(synced: World) -> None:
    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK, on_trait_change="take-over")
    assert synced.segment.members(THEIR_TRAIT) == set()

    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK)

    assert synced.segment.members(OUR_TRAIT) == {"ann", "bob"}
    with pytest.raises(TraitConflictError, match="weekly"):
        synced.attempt("c1")


def test_two_tasks_run_in_turn_do_not_retire_each_others_trait(synced: World) -> None:
    for _ in range(3):
        with pytest.raises(TraitConflictError):
            synced.attempt("c1", trait_name=OURS, identity=OTHER_TASK)
        synced.sync("c1")

    assert synced.segment.members(THEIR_TRAIT) == {"ann", "bob"}
    assert synced.segment.identifies == 2


def test_both_traits_are_kept_where_one_task_has_a_destination_of_its_own(synced: World) -> None:
    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK, keys=("second",))
    synced.sync("c1")
    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK, keys=("second",))

    assert synced.segment.members(THEIR_TRAIT) == synced.segment.members(OUR_TRAIT, "second") == {"ann", "bob"}


def test_a_dry_run_is_only_warned(synced: World, caplog: pytest.LogCaptureFixture) -> None:
    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK, dry_run=True)

    assert "A sync would be refused: DAG 'dag', task 'sync'" in caplog.text
    assert synced.segment.identifies == 2


def test_an_edited_template_of_the_same_task_is_no_conflict(synced: World) -> None:
    synced.sync("c1", trait_name=OURS)

    assert (synced.segment.members(OUR_TRAIT), synced.segment.members(THEIR_TRAIT)) == ({"ann", "bob"}, set())


def test_a_renamed_cohort_in_two_tasks_with_one_template_is_no_conflict(synced: World) -> None:
    synced.amplitude.cohort("c1", "Big Spenders", ["ann", "bob"])

    synced.sync("c1", identity=OTHER_TASK)

    assert synced.segment.members("Big Spenders (c1)") == {"ann", "bob"}


def test_two_tasks_whose_templates_come_to_one_trait_are_no_conflict_until_the_cohort_is_renamed(synced: World) -> None:
    synced.sync("c1", trait_name="Power Users (c1)", identity=OTHER_TASK)
    synced.amplitude.cohort("c1", "Big Spenders", ["ann", "bob"])

    with pytest.raises(TraitConflictError):
        synced.attempt("c1")


def test_a_task_that_keeps_the_others_trait_is_no_conflict_and_leaves_it_the_others(synced: World) -> None:
    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK, on_trait_change="keep")
    synced.amplitude.cohort("c1", "Big Spenders", ["ann", "bob"])

    synced.sync("c1")

    assert synced.segment.members("Big Spenders (c1)") == {"ann", "bob"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_task_mapped_over_templates_is_refused_in_each_of_its_runs(world: World, order: tuple[int, int]) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    for day in ("monday", "tuesday"):
        refused = []
        for index in order if day == "tuesday" else (0, 1):
            try:
                world.sync("c1", run=f"{day}.{index}", identity={"dag_run": day}, trait_name=(THEIRS, OURS)[index])
            except TraitConflictError as error:
                refused.append(error.other_task)
        assert refused == ["DAG 'dag', task 'sync', with another map index"]


def test_a_task_mapped_over_destinations_with_one_template_is_no_conflict(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    for index in range(2):
        world.sync("c1", run=f"monday.{index}", identity={"dag_run": "monday"})

    assert world.segment.members(THEIR_TRAIT) == {"ann", "bob"}


@pytest.mark.parametrize(
    ("green", "said"),
    [
        (GREEN, "task 'sync' in Airflow 'https://blue.example.com'"),
        ({**GREEN, "airflow": BLUE["airflow"]}, "task 'sync' in another Airflow, also at 'https://blue.example.com'"),
    ],
    ids=["of two addresses", "of one address for readers"],
)
def test_one_task_in_two_airflows_with_two_templates_is_two_tasks(
    world: World, green: dict[str, Any], said: str
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    for _ in range(3):
        world.sync("c1", trait_name=THEIRS, identity=BLUE)
        with pytest.raises(TraitConflictError, match=said):
            world.attempt("c1", trait_name=OURS, identity=green)

    assert world.segment.members(THEIR_TRAIT) == {"ann", "bob"}
    assert (world.segment.identifies, world.amplitude.exports_spent) == (2, 3)


def test_one_task_in_two_airflows_with_one_template_is_no_conflict(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", identity=BLUE)
    world.amplitude.cohort("c1", "Big Spenders", ["ann", "bob"])

    world.sync("c1", identity=GREEN)

    assert world.segment.members("Big Spenders (c1)") == {"ann", "bob"}


def test_an_airflow_that_has_replaced_the_other_is_let_through_once(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", identity=BLUE)
    world.sync("c1", trait_name=OURS, identity=GREEN, on_trait_change="take-over")

    world.sync("c1", trait_name=OURS, identity=GREEN)

    assert world.segment.members(OUR_TRAIT) == {"ann", "bob"}
    with pytest.raises(TraitConflictError, match=GREEN["airflow"]):
        world.attempt("c1", identity=BLUE)


def test_an_entry_of_before_the_airflow_was_kept_conflicts_with_no_airflow(synced: World) -> None:
    synced.sync("c1", trait_name=OURS, identity=GREEN)

    assert (synced.segment.members(OUR_TRAIT), synced.segment.members(THEIR_TRAIT)) == ({"ann", "bob"}, set())


def test_after_a_retirement_the_trait_is_no_tasks_any_more(synced: World) -> None:
    synced.retire("c1")

    synced.sync("c1", trait_name=OURS, identity=OTHER_TASK)

    assert (synced.segment.members(OUR_TRAIT), synced.segment.members(THEIR_TRAIT)) == ({"ann", "bob"}, set())


@pytest.mark.parametrize("what", ["go back", "erase"])
def test_a_commit_that_no_plan_led_to_leaves_the_trait_with_its_task(
    synced: World, stream: Stream, tmp_path: Path, what: str
) -> None:
    synced.sync("c1")
    scratch = tmp_path / "person"
    scratch.mkdir()
    person = synced.run_named("person")
    if what == "go back":
        roll_back(MaintenancePorts(synced.store, person, synced.clock, scratch), stream, 1)
    else:
        erase_users(MaintenancePorts(synced.store, person, synced.clock, scratch), stream, ["ann"])

    with pytest.raises(TraitConflictError):
        synced.attempt("c1", trait_name=OURS, identity=OTHER_TASK)
    synced.sync("c1")
