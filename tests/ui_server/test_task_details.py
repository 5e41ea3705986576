"""The tab of a task instance has its report, its question, its progress and its files."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from fakes.metadata_rows import NOON, Try, report, write, write_progress, write_question

Ask = Callable[..., Any]


def asked(one: Try) -> dict[str, object]:
    return {"dag_id": one.dag_id, "task_id": one.task_id, "run_id": one.run_id, "map_index": one.map_index}


def test_a_sync_has_its_report_its_error_and_its_files(ask: Ask, session: Any) -> None:
    failed = {"error": "1 rejected.", "rejected_users": "s3://b/r.csv", "planned_changes": "s3://b/p.csv"}
    one = Try(
        "daily", map_index=3, state="failed", xcoms={"sync_report": report("c1", {}, {**failed, "destination": "d2"})}
    )
    write(session, [one])
    found = ask("task", **asked(one)).json()
    assert (found["kind"], found["state"], found["try_number"]) == ("sync", "failed", 1)
    assert (found["error"], found["verify_report"], found["question"]) == ("1 rejected.", None, None)
    assert found["report"]["at"] == "2026-11-20T12:05:00Z"
    assert [part["entered"] for part in found["report"]["destinations"]] == [3, 3]
    assert found["files"] == [
        {"what": "planned_changes", "segment_conn_id": "segment_default", "location": "s3://b/p.csv"},
        {"what": "rejected_users", "segment_conn_id": "segment_default", "location": "s3://b/r.csv"},
    ]


def test_a_task_that_has_just_begun_is_a_sync_without_a_report(ask: Ask, session: Any) -> None:
    one = Try("daily", state="running")
    write(session, [one])
    found = ask("task", **asked(one)).json()
    assert (found["kind"], found["report"], found["files"], found["error"]) == ("sync", None, [], None)


@pytest.mark.parametrize(
    ("operator", "mode", "kind"),
    [
        ("AmplitudeCohortTraitRetireOperator", "retire", "retirement"),
        ("OurOwnRetirement", "retire", "retirement"),
        ("OurOwnSync", "changes", "sync"),
    ],
)
def test_a_kind_is_known_by_the_operator_or_by_the_report(
    ask: Ask, session: Any, operator: str, mode: str, kind: str
) -> None:
    one = Try("daily", operator=operator, xcoms={"sync_report": report("c1", {"mode": mode})})
    write(session, [one])
    assert ask("task", **asked(one)).json()["kind"] == kind


def test_a_verification_has_its_report_and_its_file(ask: Ask, session: Any) -> None:
    part = {
        "segment_conn_id": "s",
        "destination": "d1",
        "matched": 9,
        "different": 1,
        "failed": {"Blocked": 2, "x": "y"},
    }
    verified = {"cohort_id": "c1", "sample_size": 10, "max_mismatch_ratio": 0.0}
    verified["destinations"] = [{**part, "mismatched_users": "s3://b/m.csv", "error": "10 % differ."}]
    one = Try("daily", "verify", operator="SegmentCohortVerifyOperator", xcoms={"verify_report": verified})
    write(session, [one])
    found = ask("task", **asked(one)).json()
    [shown] = found["verify_report"]["destinations"]
    assert (found["kind"], found["report"], found["error"]) == ("verification", None, "10 % differ.")
    assert (shown["matched"], shown["different"], shown["failed"], shown["sampled"]) == (9, 1, {"Blocked": 2}, None)
    assert found["files"] == [{"what": "mismatched_users", "segment_conn_id": "s", "location": "s3://b/m.csv"}]


def test_a_task_of_another_operator_shows_nothing(ask: Ask, session: Any) -> None:
    one = Try("daily", operator="PythonOperator", xcoms={"sync_report": {"a": 1}, "verify_report": "x"})
    write(session, [one])
    assert ask("task", **asked(one)).json() == {"kind": "other"}


def test_a_task_instance_that_is_not_there_is_404(ask: Ask, session: Any) -> None:
    one = Try("daily")
    write(session, [one])
    assert ask("task", **{**asked(one), "map_index": 4}).status_code == 404
    assert ask("task", **{**asked(one), "run_id": "x' OR 1=1 --"}).status_code == 404
    assert ask("task", dag_id="daily").status_code == 422


def test_an_open_question_has_its_options_and_no_response(ask: Ask, session: Any) -> None:
    one = Try("daily", state="awaiting_input")
    write(session, [one])
    write_question(session, one)
    assert ask("task", **asked(one)).json()["question"] == {
        "subject": "Send 40 exits?",
        "body": "| a |",
        "options": ["Send anyway", "Do not send"],
        "created_at": "2026-11-20T12:00:00Z",
        "response": None,
    }


def test_an_answered_question_has_the_response_and_the_user_who_gave_it(ask: Ask, session: Any) -> None:
    one = Try("daily")
    write(session, [one])
    write_question(
        session, one, chosen_options=["Send anyway"], responded_at=NOON, responded_by={"id": "7", "name": "ann"}
    )
    response = ask("task", **asked(one)).json()["question"]["response"]
    assert response == {"chosen": ["Send anyway"], "by": "ann", "at": "2026-11-20T12:00:00Z"}


if find_spec("airflow.models.task_state_store") is not None:
    # Airflow 3.3 is the first that keeps it.

    @pytest.mark.parametrize("junk", [None, 7, "x", [], {"destinations": {"s": 3}}, {"destinations": [1]}])
    def test_progress_that_cannot_be_read_is_left_out(ask: Ask, session: Any, junk: object) -> None:
        one = Try("daily", state="running")
        write(session, [one])
        write_progress(session, one, junk)
        progress = ask("task", **asked(one)).json()["progress"]
        assert progress is None or progress["destinations"] == []

    def test_a_running_sync_has_its_progress(ask: Ask, session: Any) -> None:
        one = Try("daily", state="running")
        write(session, [one])
        counts = {"delivered": 12_000, "planned": 40_000, "per_second": 998.5, "seconds_left": 28}
        said = {"step": "Send to Segment", "try_number": 2, "at": "2026-11-24T03:00:07Z", "destinations": {"s": counts}}
        write_progress(session, one, said)
        assert ask("task", **asked(one)).json()["progress"] == {
            **said,
            "destinations": [{"segment_conn_id": "s", **counts}],
        }
