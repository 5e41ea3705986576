"""The history of a cohort: each try with the counts of its report, and each commit that no sync made."""

from pathlib import Path

import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.export.approval import Approval
from airflow_provider_amplitude_segment.core.export.run_checkpoint import keep_approval
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams_of_cohort
from airflow_provider_amplitude_segment.core.maintenance.history import HistoryRow, read_history
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.core.report.answer import Answer, Verdict
from airflow_provider_amplitude_segment.core.report.question import Question
from airflow_provider_amplitude_segment.core.report.saved_answer import save_answer
from airflow_provider_amplitude_segment.exceptions import ExitRatioError, SegmentUnavailableError

MANY = [f"user-{number}@x" for number in range(300)]


def history(world: World, limit: int = 50) -> list[HistoryRow]:
    return read_history(world.store, find_streams_of_cohort(world.store, "c1"), limit)


def ask(world: World, run: str = "night") -> Question:
    """Sync to two destinations, of which one has a guard that trips; a person is asked."""
    world.amplitude.cohort("c1", "Power Users", MANY)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", MANY[:10])
    question = world.attempt("c1", run=run, keys=("default", "emea"), on_guard="ask")
    assert isinstance(question, Question)
    world.deferred.add(run)
    return question


def answer(world: World, question: Question, verdict: Verdict, user: str | None = None) -> None:
    save_answer(world.store, question, world.report, Answer(verdict, user), world.clock.now())


def endings(world: World) -> list[tuple[str, str, str | None]]:
    return [(row.ledger.rpartition("-")[2], row.outcome, row.answered_by) for row in history(world)]


def test_each_sync_has_its_counts_its_run_and_its_outcome(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", MANY)
    world.sync("c1", run="monday")
    world.amplitude.cohort("c1", "Power Users", [*MANY[:10], "new@x"])
    with pytest.raises(ExitRatioError):
        world.sync("c1", run="tuesday", max_exit_ratio=0.1)
    world.sync("c1", run="wednesday", dry_run=True, max_exit_ratio=None)
    world.sync("c1", run="thursday", max_exit_ratio=None)
    (stream,) = find_streams_of_cohort(world.store, "c1")
    (tmp_path / "scratch").mkdir()
    roll_back(MaintenancePorts(world.store, world.run_named("person"), world.clock, tmp_path / "scratch"), stream, 1)

    rows = history(world)

    assert [(r.outcome, r.members, r.known, r.entered, r.exited, r.pending) for r in rows] == [
        ("committed", 300, 300, 300, 0, 0),
        ("stopped by a guard", 11, None, 1, 290, 291),
        ("dry run", 11, None, 1, 290, 291),
        ("committed", 11, 11, 1, 290, 0),
        ("corrected", None, None, None, None, None),
    ]
    assert [row.run for row in rows] == [f"run '{name}'" for name in ("monday", "tuesday", "wednesday", "thursday")] + [
        "run 'person'"
    ]
    assert [row.mode for row in rows] == ["incremental"] * 4 + [None]
    assert sorted(str(row.at) for row in rows) == [row.at for row in rows]
    assert history(world, limit=2) == rows[-2:]


def test_a_failed_try_and_its_retry_are_two_rows(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="monday")
    world.segment.refuses_connections = False
    world.attempt("c1", run="monday")

    failed, committed = history(world)

    assert (failed.outcome, failed.try_number, failed.pending) == ("failed", 1, 1)
    assert (committed.outcome, committed.try_number, committed.pending) == ("committed", 2, 0)


def test_each_destination_has_rows_of_its_own(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", keys=("default", "emea"))

    assert [(row.segment_conn_id, row.ledger.rpartition("/")[2]) for row in history(world)] == [
        ("segment_default", "dst-default"),
        ("segment_emea", "dst-emea"),
    ]


def test_a_report_of_an_earlier_version_has_the_time_and_the_run_of_its_commit(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1", run="monday")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    ledger = Ledger(world.store, stream.folder)
    old = ledger.report(1)
    ledger.put_report(1, {k: v for k, v in old.items() if k not in {"run", "try", "written_at", "ended_by", "guard"}})

    (row,) = history(world)

    assert (row.at, row.run, row.try_number) == (ledger.commit(1).timestamp, "run 'monday'", None)


def test_a_sync_whose_report_is_gone_or_torn_has_the_counts_of_its_commit(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann@x"])
    world.sync("c1")
    world.sync("c1")
    (stream,) = find_streams_of_cohort(world.store, "c1")
    del world.store.objects[f"{stream.folder}/reports/1.json"]
    world.store.objects[f"{stream.folder}/reports/2.json"] = b'{"package": "air'

    assert [(row.outcome, row.known, row.entered) for row in history(world)] == [
        ("committed", 1, 1),
        ("committed", 1, 0),
    ]


def test_a_sync_that_asked_is_so_named_at_each_destination_until_it_is_answered(world: World) -> None:
    question = ask(world)

    assert endings(world)[1:] == [("default", "asked a person", None), ("emea", "asked a person", None)]
    for claim, stream in ((question.claims[s.folder], s) for s in find_streams_of_cohort(world.store, "c1")):
        assert Ledger(world.store, stream.folder).report(claim)["guard"] is True


@pytest.mark.parametrize(
    ("verdict", "user", "outcome"), [("do not send", "bob", "declined"), ("timed out", None, "not answered")]
)
def test_the_history_has_how_a_question_ended_and_who_answered_it(
    world: World, verdict: Verdict, user: str | None, outcome: str
) -> None:
    question = ask(world)

    answer(world, question, verdict, user)

    assert endings(world)[1:] == [("default", outcome, user), ("emea", outcome, user)]
    assert all(row.run == "run 'night'" for row in history(world)[1:])


def test_an_approved_sync_has_a_row_of_its_question_and_its_own_and_none_that_failed(world: World) -> None:
    question = ask(world)
    stream = find_streams_of_cohort(world.store, "c1")[0]
    approval = Approval(question.export_request_id, question.starts, "alice")
    keep_approval(world.store, stream, world.run_named("night"), approval)
    answer(world, question, "send", "alice")
    world.sync("c1", run="night", keys=("default", "emea"), on_guard="ask")

    assert endings(world) == [
        ("default", "committed", None),
        ("default", "approved", "alice"),
        ("default", "committed", "alice"),
        ("emea", "approved", "alice"),
        ("emea", "committed", None),
    ]


def test_an_answer_changes_only_a_report_that_waits_for_it(world: World) -> None:
    question = ask(world)
    answer(world, question, "do not send", "bob")
    for name in [name for name in world.store.objects if "emea" in name and "/reports/" in name]:
        del world.store.objects[name]

    answer(world, question, "send", "mallory")

    assert endings(world)[1:] == [("default", "declined", "bob")]
