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
        "open": True,
        "subject": "Send 40 exits?",
        "body": "| a |",
        "code": "A1B2C3",
        "form_code": "A1B2C3",
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
    question = ask("task", **asked(one)).json()["question"]
    assert question["response"] == {"chosen": ["Send anyway"], "by": "ann", "at": "2026-11-20T12:00:00Z"}
    assert question["open"] is False


WAITING = [("awaiting_input", None), ("awaiting_input", "execute_approved"), ("deferred", "execute_approved")]
NOT_WAITING = [
    ("running", None),
    ("failed", None),
    ("up_for_retry", None),
    ("queued", None),
    ("success", None),
    ("deferred", "execute_complete"),
]


@pytest.mark.parametrize(("state", "next_method"), WAITING + NOT_WAITING)
def test_a_question_without_a_response_is_open_only_while_the_task_waits_for_it(
    ask: Ask, session: Any, state: str, next_method: str | None
) -> None:
    """Airflow keeps its row over a clear, over a retry and after a person marks the task as failed."""
    failed = report("c1", {"error": "5 users were rejected.", "committed": False})
    one = Try("daily", state=state, next_method=next_method, xcoms={"sync_report": failed})
    write(session, [one])
    write_question(session, one)
    found = ask("task", **asked(one)).json()
    assert (found["question"]["open"], found["question"]["response"]) == ((state, next_method) in WAITING, None)
    assert found["error"] == "5 users were rejected."


def test_a_question_that_is_put_again_has_its_own_text_and_code_beside_the_code_of_the_form(
    ask: Ask, session: Any
) -> None:
    """Airflow keeps the row of the first question; the XCom has the second one."""
    again = {"subject": "Send 250 exits?", "body": "| b |" + "x" * 9_000, "code": "D4E5F6", "options": [], "url": "u"}
    one = Try("daily", state="awaiting_input", xcoms={"guard_question": again})
    write(session, [one])
    write_question(session, one)
    question = ask("task", **asked(one)).json()["question"]
    assert (question["subject"], question["body"]) == (again["subject"], again["body"])
    assert (question["code"], question["form_code"]) == ("D4E5F6", "A1B2C3")
    assert question["options"] == ["Send anyway", "Do not send"]
    assert question["created_at"] == "2026-11-20T12:05:00Z"  # of the XCom; the first one was put at noon


@pytest.mark.parametrize("junk", [None, 7, "text", [], {}, {"subject": 3}, {"code": "D4E5F6"}])
def test_junk_under_the_key_of_a_question_leaves_what_airflow_shows(ask: Ask, session: Any, junk: object) -> None:
    one = Try("daily", state="awaiting_input", xcoms={"guard_question": junk})
    write(session, [one])
    write_question(session, one)
    question = ask("task", **asked(one)).json()["question"]
    assert (question["subject"], question["code"]) == ("Send 40 exits?", "A1B2C3")
    assert question["created_at"] == "2026-11-20T12:00:00Z"


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
