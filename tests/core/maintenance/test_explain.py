"""Explaining a user: each answer is right by what Segment got, and none repeats the user ID."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Killed, World

from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import REPORTS
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams_of_cohort
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.explain import Question, explain_user, read_user_id
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.core.maintenance.user_story import UserStory
from airflow_provider_amplitude_segment.core.report.answer import Answer
from airflow_provider_amplitude_segment.core.report.question import Question as GuardQuestion
from airflow_provider_amplitude_segment.core.report.saved_answer import save_answer
from airflow_provider_amplitude_segment.core.verification.committed_state import CommittedState
from airflow_provider_amplitude_segment.core.verification.healing import MISMATCHED, heal
from airflow_provider_amplitude_segment.exceptions import (
    ExitRatioError,
    LedgerNotFoundError,
    RejectedUsersError,
    UserIdError,
)

TRAIT = "Power Users (c1)"
MANY = [f"user-{number}@x" for number in range(300)]


def explain(world: World, scratch: Path, user_id: str, cohort_id: str = "c1") -> list[UserStory]:
    folder = scratch / f"explain-{len(list(scratch.iterdir()))}"
    folder.mkdir()
    before = dict(world.store.objects)
    stories = explain_user(Question(world.store, folder, user_id), find_streams_of_cohort(world.store, cohort_id))
    assert world.store.objects == before
    for story in stories:
        text = "\n".join([*story.lines(), repr(story), json.dumps(story.as_dict(), ensure_ascii=False)])
        assert len(user_id) < 3 or user_id not in text
    return stories


def only(world: World, scratch: Path, user_id: str) -> UserStory:
    (story,) = explain(world, scratch, user_id)
    assert story.error is None
    return story


def values(story: UserStory) -> list[tuple[Any, ...]]:
    return [(row.trait, row.delivered, row.in_doubt, row.rejections) for row in story.values]


def outcomes(story: UserStory) -> list[tuple[int, bool, str]]:
    return [(event.generation, event.value, event.outcome) for event in story.events]


def die_at(part: str) -> Any:
    def before_write(name: str) -> None:
        if part in name:
            raise Killed

    return before_write


def kill(world: World, part: str, **more: Any) -> None:
    world.store.before_write = die_at(part)
    with pytest.raises(Killed):
        world.attempt("c1", **more)
    world.store.before_write = lambda _name: None
    world.clock.pass_by(3600)


def maintained(world: World, scratch: Path, name: str) -> MaintenancePorts:
    folder = scratch / name
    folder.mkdir()
    return MaintenancePorts(world.store, world.run_named(name), world.clock, folder)


def test_a_member_has_true_since_the_plan_and_the_run_that_are_named(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1", run="monday")

    story = only(world, tmp_path, "ann@x")

    assert world.segment.members(TRAIT) == {"ann@x", "bob@x"}
    assert values(story) == [(TRAIT, True, False, 0)]
    assert outcomes(story) == [(1, True, "acknowledged")]
    assert story.events[0].run == "run 'monday'"
    assert story.events[0].at is not None
    assert "only changes are sent" in story.reasons[0]
    assert story.segment_conn_id == "segment_default"


def test_a_leaver_has_both_plans(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["bob@x"])
    world.sync("c1", run="tuesday")
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["bob@x"])
    world.sync("c1")

    story = only(world, tmp_path, "ann@x")

    # The changes of the oldest kept commit are pruned.
    assert outcomes(story) == [(2, False, "acknowledged"), (3, True, "acknowledged"), (4, False, "acknowledged")]
    assert story.events[0].run == "run 'tuesday'"
    assert values(story) == [(TRAIT, False, False, 0)]
    assert "has got false" in " ".join(story.reasons)
    assert world.segment.members(TRAIT) == {"bob@x"}


def test_a_rejected_user_has_the_reason_each_time_and_is_skipped_after_three(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "eve@x"])
    world.segment.poisoned.add("eve@x")
    with pytest.raises(RejectedUsersError):
        world.sync("c1")

    story = only(world, tmp_path, "eve@x")

    assert values(story) == [(TRAIT, None, True, 1)]
    assert outcomes(story) == [(1, True, "rejected")]
    assert (story.events[0].status, bool(story.events[0].reason)) == (400, True)
    assert "was rejected and is in doubt" in story.reasons[0]
    assert outcomes(only(world, tmp_path, "ann@x")) == [(1, True, "acknowledged")]

    for _ in range(3):
        world.sync("c1", on_rejected="warn")

    story = only(world, tmp_path, "eve@x")
    assert outcomes(story) == [(2, True, "rejected"), (3, True, "rejected")]
    assert all(event.status == 400 and event.reason for event in story.events)
    assert "A sync skips the user; sync_mode='full' sends it." in story.reasons[0]


def test_a_rejection_is_known_without_the_list_of_rejected_users(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "eve@x"])
    world.segment.poisoned.add("eve@x")
    world.sync("c1", on_rejected="warn")
    world.sync("c1", on_rejected="warn")
    world.sync("c1", on_rejected="warn")
    for name in [name for name in world.store.objects if "/rejected/" in name]:
        world.store.objects[name] = b"\xff who\n"

    story = only(world, tmp_path, "eve@x")

    assert outcomes(story) == [(2, True, "rejected"), (3, True, "rejected")]
    assert story.events[0].reason is None


def test_a_user_of_a_guarded_sync_is_shown_what_the_guard_stopped(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", MANY)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", MANY[:10])
    with pytest.raises(ExitRatioError):
        world.sync("c1", run="night", max_exit_ratio=0.1)

    story = only(world, tmp_path, MANY[200])

    (stopped,) = story.stopped
    assert (stopped.outcome, stopped.run) == ("stopped by a guard", "run 'night'")
    assert stopped.at is not None
    assert "290" in str(stopped.error)
    assert "A guard stopped the syncs above before a plan." in story.reasons[-1]
    assert values(story) == [(TRAIT, True, False, 0)]


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (None, "asked a person, by run 'night': "),
        (Answer("do not send", "bob"), "declined by bob, by run 'night': "),
        (Answer("timed out"), "not answered, by run 'night': "),
    ],
)
def test_a_sync_that_asked_is_shown_with_how_the_question_ended(
    world: World, tmp_path: Path, answer: Answer | None, ending: str
) -> None:
    world.amplitude.cohort("c1", "Power Users", MANY)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", MANY[:10])
    question = world.attempt("c1", run="night", on_guard="ask")
    assert isinstance(question, GuardQuestion)
    if answer is not None:
        save_answer(world.store, question, world.report, answer, world.clock.now())

    story = only(world, tmp_path, MANY[200])

    assert f"a sync ended before its plan, {ending}" in "\n".join(story.lines())
    assert "A guard stopped the syncs above before a plan." in story.reasons[-1]


def test_a_first_sync_that_was_killed_before_its_plan_names_no_user(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    kill(world, "/plan-")

    story = only(world, tmp_path, "ann@x")

    assert (story.values, story.events) == ((), ())
    assert story.reasons == ("No sync has made a plan for this destination yet.",)


def test_a_user_in_doubt_after_a_kill_is_pending_and_then_acknowledged(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    kill(world, "/acked-", run="killed")

    story = only(world, tmp_path, "bob@x")

    assert values(story) == [(TRAIT, None, True, 0)]
    assert outcomes(story) == [(2, True, "pending")]
    assert story.events[0].run == "run 'killed'"
    assert "sent, or possibly sent, and not acknowledged" in story.reasons[0]

    world.sync("c1", run="killed")
    story = only(world, tmp_path, "bob@x")
    assert outcomes(story) == [(2, True, "acknowledged")]
    assert values(story) == [(TRAIT, True, False, 0)]


def test_a_journal_says_who_was_acknowledged_in_an_unfinished_plan(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    kill(world, "/commit-")

    story = only(world, tmp_path, "ann@x")

    assert outcomes(story) == [(1, True, "acknowledged")]
    assert values(story) == [(TRAIT, True, False, 0)]


def test_an_abandoned_plan_is_named_as_one(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    kill(world, "/acked-", run="lost")
    # The next run begins a plan of its own, in which it sends the user again.
    kill(world, "/acked-", run="next")

    story = only(world, tmp_path, "bob@x")

    assert [(value, outcome) for _, value, outcome in outcomes(story)] == [(True, "abandoned"), (True, "pending")]
    assert values(story) == [(TRAIT, None, True, 0)]


def test_a_stranger_is_in_no_kept_plan(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", keys=("default", "emea"))

    for story in explain(world, tmp_path, "Ann@x"):
        assert (story.values, story.events, story.stopped) == ((), (), ())
        assert "no kept plan names it; the oldest kept one is plan 1 of 20" in story.reasons[0]


HOSTILE = [
    "line\nbreak",
    "cr\r\nlf",
    "'single' \"double\" `tick`",
    "x" * 2_000,
    "nul\0inside",
    "🦩 flamingo",
    "' OR 1=1 --",
    "%s {0} $1",
    " blanks ",
    "a,b;c\td",
    "\\N",
    "e\u0301 is not \u00e9",
]


@pytest.mark.parametrize("user_id", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_id_is_found_to_the_last_character(world: World, tmp_path: Path, user_id: str) -> None:
    if "\0" in user_id:
        # No export has one, so its user is a stranger.
        world.amplitude.cohort("c1", "Power Users", ["nulinside", "nul"])
        world.sync("c1")
        assert only(world, tmp_path, user_id).values == ()
        return
    world.amplitude.cohort("c1", "Power Users", [user_id, f"{user_id}2", "ann@x"])
    world.segment.poisoned.add(user_id)
    world.sync("c1", on_rejected="warn")

    story = only(world, tmp_path, read_user_id(f"{user_id}\n".encode()))

    assert values(story) == [(TRAIT, None, True, 1)]
    assert outcomes(story) == [(1, True, "rejected")]
    world.sync("c1", on_rejected="warn")
    world.sync("c1", on_rejected="warn")
    story = only(world, tmp_path, user_id)
    assert [outcome for _, _, outcome in outcomes(story)] == ["rejected", "rejected"]
    assert story.events[0].reason
    assert values(only(world, tmp_path, f"{user_id}2")) == [(TRAIT, True, False, 0)]


def test_a_renamed_cohort_has_two_traits(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Heavy Users", ["ann@x"])
    world.sync("c1")

    story = only(world, tmp_path, "ann@x")

    assert values(story) == [("Heavy Users (c1)", True, False, 0), (TRAIT, False, False, 0)]
    assert sorted((event.trait, event.value) for event in story.events) == [("Heavy Users (c1)", True), (TRAIT, False)]
    assert story.trait == "Heavy Users (c1)"


def test_a_healed_user_and_a_rolled_back_one_are_set_in_doubt_by_a_run_that_is_named(
    world: World, tmp_path: Path
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    ports = maintained(world, tmp_path, "verify")
    ledger = Ledger(world.store, stream.folder)
    commit = ledger.commit(1)
    with open_engine(ports.scratch) as engine:
        engine.execute(f"CREATE TABLE {MISMATCHED} AS SELECT '{TRAIT}' AS trait, 'ann@x' AS user_id")
        snapshot = ledger.load_file(commit.snapshot, ports.scratch / "snapshot.parquet")
        heal(engine, CommittedState(stream, ledger, commit, None, 0.0), snapshot, ports)

    story = only(world, tmp_path, "ann@x")

    assert values(story) == [(TRAIT, True, True, 0)]
    assert "a rollback or a healing set the user in doubt, by run 'verify'" in story.reasons[0]
    assert values(only(world, tmp_path, "bob@x")) == [(TRAIT, True, False, 0)]
    world.sync("c1")
    roll_back(maintained(world, tmp_path, "person"), stream, 1)
    assert "set the user in doubt, by run 'person'" in only(world, tmp_path, "ann@x").reasons[0]


def test_an_erased_user_is_unknown_and_the_erasure_is_named(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    erase_users(maintained(world, tmp_path, "privacy"), stream, ["ann@x"])

    story = only(world, tmp_path, "ann@x")

    assert (story.values, story.events) == ((), ())
    assert "by run 'privacy' without a sync" in story.reasons[1]
    assert values(only(world, tmp_path, "bob@x")) == [(TRAIT, True, False, 0)]


def test_a_retired_cohort_has_purged_its_users(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.retire("c1", run="end")

    story = only(world, tmp_path, "ann@x")

    assert (story.values, story.events) == ((), ())
    assert "The cohort was retired here at " in story.reasons[0]
    assert "by run 'end'" in story.reasons[0]


def test_a_user_who_was_purged_or_erased_is_not_said_to_have_been_in_no_export(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x", "bob@x"])
    world.sync("c1")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    world.retire("c1", run="end")
    world.amplitude.cohort("c1", "Power Users", ["bob@x"])
    world.sync("c1")

    story = only(world, tmp_path, "ann@x")

    assert "does not know what was sent before" in story.reasons[0]
    assert ["by run 'end'" in reason for reason in story.reasons] == [False, True]

    world.amplitude.cohort("c1", "Power Users", ["bob@x", "eve@x"])
    world.sync("c1")
    erase_users(maintained(world, tmp_path, "privacy"), stream, ["eve@x"])
    assert "the ledger keeps no plan." in only(world, tmp_path, "eve@x").reasons[0]
    world.amplitude.cohort("c1", "Power Users", ["bob@x"])
    for _ in range(6):
        world.sync("c1")
    story = only(world, tmp_path, "eve@x")
    assert "does not know what was sent before" in story.reasons[0]
    assert "export" not in " ".join(story.reasons)


def test_a_reason_that_quotes_the_user_is_hidden_and_the_file_that_has_it_is_named(
    world: World, tmp_path: Path
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["a", "ann@x"])
    world.segment.poisoned.add("a")
    world.sync("c1", on_rejected="warn")

    story = only(world, tmp_path, "a")

    assert "rejected/1.csv, column reason, has it" in str(story.events[0].reason)
    (name,) = [name for name in world.store.objects if name.endswith("/rejected/1.csv")]
    assert b"reason" in world.store.objects[name]


def test_a_damaged_ledger_has_no_answer_and_the_other_has_one(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", keys=("default", "emea"))
    name = next(name for name in world.store.objects if "dst-default/snapshot" in name)
    world.store.objects[name] = b"PAR1"

    damaged, whole = explain(world, tmp_path, "ann@x")

    assert "snapshot" in str(damaged.error)
    assert values(whole) == [(TRAIT, True, False, 0)]


def test_a_report_says_which_run_wrote_it_when_and_the_newest_thousand_are_kept(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", run="monday")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    ledger = Ledger(world.store, stream.folder)
    report = ledger.report(1)
    assert (report["run"], report["try"], report["ended_by"], report["guard"]) == ("run 'monday'", 1, None, False)
    assert report["written_at"].endswith("Z")
    world.store.objects |= {f"{stream.folder}/reports/{claim}.json": b"{}" for claim in range(2, 1_101)}
    world.store.objects[f"{stream.folder}/reports/notes.txt"] = b"mine"
    world.sync("c1", recorded={"dst-default": 1_100}, on_missing_state="full")

    names = ledger.names_beside(REPORTS)

    assert len(names) == 1_001
    assert {"notes.txt", "1101.json", "102.json"} <= set(names)
    assert "101.json" not in names


def test_a_cohort_without_a_ledger_is_not_found(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")

    with pytest.raises(LedgerNotFoundError):
        explain(world, tmp_path, "ann@x", "c2")


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n", b"\xff\xfe"])
def test_what_is_no_user_id_is_refused(content: bytes) -> None:
    with pytest.raises(UserIdError):
        read_user_id(content)
