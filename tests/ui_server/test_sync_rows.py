"""The page has one row for each cohort and destination, and a row has its runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fakes.metadata_rows import NOON, Try, report, write, write_question

Ask = Callable[..., Any]


def rows(ask: Ask) -> dict[tuple[str | None, str | None], dict[str, Any]]:
    return {(row["cohort_id"], row["destination"]): row for row in ask("syncs").json()["syncs"]}


def test_without_a_sync_there_is_no_row(ask: Ask, session: Any) -> None:
    write(session, [Try("other", xcoms={"return_value": 1})])
    assert ask("syncs").json() == {"syncs": [], "truncated": False}


def test_a_row_has_the_counts_of_the_last_sync(ask: Ask, session: Any) -> None:
    later = report("c1", {"known": 12, "entered": 2, "exited": 0, "rejected": 4, "pending": 1, "approved_by": "ann"})
    write(session, [Try("daily", day=day, xcoms={"sync_report": one}) for day, one in enumerate((report(), later))])
    assert ask("syncs").json()["syncs"] == [
        {
            "dag_id": "daily",
            "task_id": "sync",
            "map_index": -1,
            "run_id": "scheduled__1",
            "try_number": 1,
            "cohort_id": "c1",
            "cohort_name": "Cohort c1",
            "segment_conn_id": "segment_default",
            "destination": "d1",
            "state": "success",
            "question_open": False,
            "mode": "changes",
            "at": "2026-11-21T12:05:00Z",
            "next_run_at": None,
            "members": 12,
            "entered": 2,
            "exited": 0,
            "rejected": 4,
            "pending": 1,
            "dry_run": False,
            "error": None,
            "approved_by": "ann",
        }
    ]


def test_a_sync_to_two_destinations_has_two_rows(ask: Ask, session: Any) -> None:
    write(session, [Try("daily", xcoms={"sync_report": report("c1", {}, {"destination": "d2", "known": 4})})])
    assert {key: row["members"] for key, row in rows(ask).items()} == {("c1", "d1"): 10, ("c1", "d2"): 4}


def test_a_cohort_that_two_dags_sync_has_one_row_of_the_newest(ask: Ask, session: Any) -> None:
    due = NOON + timedelta(days=9)
    tries = [
        Try("daily", day=0, xcoms={"sync_report": report("c1", {"known": 5})}),
        Try("by_hand", day=1, xcoms={"sync_report": report("c1", {"known": 6})}),
    ]
    write(session, tries, dags={"daily": {"next_dagrun_create_after": due}})
    [row] = rows(ask).values()
    assert (row["dag_id"], row["members"], row["next_run_at"]) == ("by_hand", 6, "2026-11-29T12:00:00Z")


def test_cohorts_that_moved_to_another_map_index_have_one_row_each(ask: Ask, session: Any) -> None:
    tries = [
        Try("many", map_index=index, day=day, xcoms={"sync_report": report(cohort, {"known": day})})
        for day, order in enumerate((["c1", "c2"], ["c2", "c1"], ["c2"]))
        for index, cohort in enumerate(order)
    ]
    write(session, tries)
    assert {key[0]: row["members"] for key, row in rows(ask).items()} == {"c1": 1, "c2": 2}


def test_a_cohort_chosen_by_hand_hides_no_other_one(ask: Ask, session: Any) -> None:
    write(session, [Try("ad_hoc", day=day, xcoms={"sync_report": report(f"c{day}")}) for day in range(3)])
    assert {key[0] for key in rows(ask)} == {"c0", "c1", "c2"}


@pytest.mark.parametrize("state", ["running", "awaiting_input", "deferred", "up_for_retry", "failed"])
def test_a_row_has_the_state_of_a_later_run_without_a_report(ask: Ask, session: Any, state: str) -> None:
    first = Try("daily", xcoms={"sync_report": report("c1", {"error": "an old one"})})
    write(session, [first, Try("daily", day=1, state=state, rendered={"cohort_id": "c1"})])
    [row] = rows(ask).values()
    assert (row["state"], row["run_id"], row["error"]) == (state, "scheduled__1", None)
    assert (row["members"], row["at"]) == (10, "2026-11-20T12:05:00Z")


def test_a_later_run_for_another_cohort_changes_no_row(ask: Ask, session: Any) -> None:
    first = Try("ad_hoc", xcoms={"sync_report": report("c1")})
    write(session, [first, Try("ad_hoc", day=1, state="running", rendered={"cohort_id": "c2"})])
    assert {key: row["state"] for key, row in rows(ask).items()} == {("c1", "d1"): "success", ("c2", None): "running"}


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_run_for_one_cohort_stays_in_its_row_after_a_later_run_for_another(
    ask: Ask, session: Any, state: str
) -> None:
    """As a DAG does whose form asks for the cohort."""
    tries = [
        Try("ad_hoc", xcoms={"sync_report": report("c1")}, rendered={"cohort_id": "c1"}),
        Try("ad_hoc", day=1, state=state, rendered={"cohort_id": "c1"}),
        Try("ad_hoc", day=2, state="failed", rendered={"cohort_id": "c3"}),
        Try("ad_hoc", day=3, xcoms={"sync_report": report("c2")}, rendered={"cohort_id": "c2"}),
    ]
    write(session, tries)
    assert {key: (row["state"], row["run_id"]) for key, row in rows(ask).items()} == {
        ("c1", "d1"): (state, "scheduled__1"),
        ("c2", "d1"): ("success", "scheduled__3"),
        ("c3", None): ("failed", "scheduled__2"),
    }


def test_a_failure_before_the_last_report_of_its_cohort_is_over(ask: Ask, session: Any) -> None:
    tries = [
        Try("ad_hoc", day=0, state="failed", rendered={"cohort_id": "c1"}),
        Try("ad_hoc", day=1, xcoms={"sync_report": report("c1")}, rendered={"cohort_id": "c1"}),
        Try("ad_hoc", day=2, state="failed", rendered={"cohort_id": "c2", "segment_conn_id": "segment_default"}),
        Try("daily", day=3, xcoms={"sync_report": report("c2")}),
    ]
    write(session, tries)
    assert {key: row["state"] for key, row in rows(ask).items()} == {("c1", "d1"): "success", ("c2", "d1"): "success"}


@pytest.mark.parametrize("named", [None, 7, "other", "segment_default, other", ["segment_default", "other"]])
def test_a_first_failure_is_not_over_when_another_dag_reports_for_the_cohort_at_another_destination(
    ask: Ask, session: Any, named: object
) -> None:
    rendered = {"cohort_id": "c1"} if named is None else {"cohort_id": "c1", "segment_conn_id": named}
    failed = Try("ad_hoc", state="failed", rendered=rendered)
    write(session, [failed, Try("daily", day=1, xcoms={"sync_report": report("c1")})])
    assert {key: row["dag_id"] for key, row in rows(ask).items()} == {("c1", "d1"): "daily", ("c1", None): "ad_hoc"}


def test_a_first_failure_is_over_when_its_task_or_each_of_its_destinations_has_reported(ask: Ask, session: Any) -> None:
    both = {"cohort_id": "c1", "segment_conn_id": '["a", "b"]'}
    tries = [
        Try("same_task", state="failed", rendered={"cohort_id": "c1"}),
        Try("same_task", day=1, xcoms={"sync_report": report("c1", {"segment_conn_id": "a"})}),
        Try("ad_hoc", state="failed", rendered=both),
        Try("other", day=1, xcoms={"sync_report": report("c1", {"segment_conn_id": "b", "destination": "d2"})}),
    ]
    write(session, tries)
    assert {key: row["dag_id"] for key, row in rows(ask).items()} == {("c1", "d1"): "same_task", ("c1", "d2"): "other"}


def test_a_run_that_waits_is_shown_also_after_another_run_of_its_cohort_reported(ask: Ask, session: Any) -> None:
    waits = Try("ad_hoc", state="deferred", next_method="execute_approved", rendered={"cohort_id": "c1"})
    done = Try("ad_hoc", day=1, xcoms={"sync_report": report("c1")}, rendered={"cohort_id": "c1"})
    write(session, [waits, done])
    [row] = rows(ask).values()
    assert (row["state"], row["run_id"], row["members"]) == ("deferred", "scheduled__0", 10)


@pytest.mark.parametrize("state", ["running", "up_for_retry", "failed"])
def test_a_first_sync_without_a_report_has_a_row_without_counts(ask: Ask, session: Any, state: str) -> None:
    """Its cohort is known by its rendered fields, which Airflow keeps of the last runs only."""
    tries = [
        Try("daily", map_index=2, state=state, rendered={"cohort_id": 1234}),
        Try("gone", state=state),
        Try("wrong", state=state, rendered={"cohort_id": ["c1", "c2"]}),
        Try("old", state=state, operator="AmplitudeCohortTraitRetireOperator", rendered={}),
        Try("removed", state=state, rendered={"cohort_id": "c1"}),
        Try("another", state=state, operator="PythonOperator", rendered={"cohort_id": "c1"}),
        Try("verifying", "verify", state=state, operator="SegmentCohortVerifyOperator", rendered={"cohort_id": "c1"}),
    ]
    write(session, tries, dags={"daily": {"next_dagrun_create_after": NOON}, "removed": {"is_stale": True}})
    found = {row["dag_id"]: row for row in ask("syncs").json()["syncs"]}
    assert {dag_id: row["cohort_id"] for dag_id, row in found.items()} == {
        "daily": "1234",
        "gone": None,
        "wrong": None,
        "old": None,
    }
    row = found["daily"]
    assert (row["state"], row["map_index"], row["next_run_at"]) == (state, 2, "2026-11-20T12:00:00Z")
    assert [row[name] for name in ("destination", "segment_conn_id", "at", "members", "entered")] == [None] * 5
    assert set(row) == set(_reported_row(ask, session))


def _reported_row(ask: Ask, session: Any) -> dict[str, Any]:
    write(session, [Try("reported", xcoms={"sync_report": report("c9")})])
    return next(row for row in ask("syncs").json()["syncs"] if row["cohort_id"] == "c9")


@pytest.mark.parametrize("is_over", [False, True])
def test_a_failure_of_an_unknown_cohort_is_shown_until_a_later_run_of_the_task_reports(
    ask: Ask, session: Any, *, is_over: bool
) -> None:
    tries = [Try("daily", xcoms={"sync_report": report("c1")}), Try("daily", day=1, state="failed")]
    later = Try("daily", day=2, xcoms={"sync_report": report("c1")})
    write(session, [*tries, later] if is_over else tries)
    failed = {} if is_over else {None: "failed"}
    assert {key[0]: row["state"] for key, row in rows(ask).items()} == {"c1": "success", **failed}


def test_a_first_sync_that_failed_for_one_of_two_destinations_of_a_run_is_shown(ask: Ask, session: Any) -> None:
    """A task may be mapped over destinations, so a report of the same run says nothing about another map index."""
    tries = [
        Try("daily", map_index=0, xcoms={"sync_report": report("c1")}, rendered={"cohort_id": "c1"}),
        Try("daily", map_index=1, state="failed", rendered={"cohort_id": "c1"}),
    ]
    write(session, tries)
    assert {key: row["state"] for key, row in rows(ask).items()} == {("c1", "d1"): "success", ("c1", None): "failed"}


def mapped(*destinations: str, day: int = 0) -> list[Try]:
    """Return the syncs of one cohort by a task that is mapped over destinations."""
    parts = [{"segment_conn_id": f"to_{name}", "destination": name} for name in destinations]
    return [
        Try("daily", map_index=index, day=day, xcoms={"sync_report": report("c1", part)}, rendered={"cohort_id": "c1"})
        for index, part in enumerate(parts)
    ]


def unreported(map_index: int, day: int, state: str, to: str | None = None) -> Try:
    rendered = {"cohort_id": "c1"} if to is None else {"cohort_id": "c1", "segment_conn_id": to}
    return Try("daily", map_index=map_index, day=day, state=state, rendered=rendered)


def shown(ask: Ask) -> dict[str | None, tuple[str, str, int, bool]]:
    return {
        row["destination"]: (row["state"], row["run_id"], row["map_index"], row["question_open"])
        for row in ask("syncs").json()["syncs"]
    }


def test_a_row_of_a_mapped_task_shows_its_own_map_index_and_no_question_of_another(ask: Ask, session: Any) -> None:
    asks = replace(unreported(1, 1, "deferred"), next_method="execute_approved")
    write(session, [*mapped("d0", "d1"), unreported(0, 1, "failed"), asks])
    write_question(session, asks)
    assert shown(ask) == {
        "d0": ("failed", "scheduled__1", 0, False),
        "d1": ("deferred", "scheduled__1", 1, True),
    }


def test_a_row_shows_no_question_of_another_map_index_of_an_earlier_run(ask: Ask, session: Any) -> None:
    """Of the failures of one map index, the query returns the newest; the question is of the run before."""
    asks = replace(unreported(1, 1, "deferred"), next_method="execute_approved")
    write(session, [*mapped("d0", "d1"), unreported(0, 1, "failed"), asks, unreported(0, 2, "failed")])
    write_question(session, asks)
    assert shown(ask) == {
        "d0": ("failed", "scheduled__2", 0, False),
        "d1": ("deferred", "scheduled__1", 1, True),
    }


def test_a_map_index_that_is_new_has_a_row_of_its_own_beside_the_others(ask: Ask, session: Any) -> None:
    states = ("failed", "up_for_retry", "running")
    write(session, [*mapped("d0", "d1"), *(unreported(index, 1, state) for index, state in enumerate(states))])
    assert shown(ask) == {
        "d0": ("failed", "scheduled__1", 0, False),
        "d1": ("up_for_retry", "scheduled__1", 1, False),
        None: ("running", "scheduled__1", 2, False),
    }


def test_a_destination_that_moved_to_another_map_index_is_known_by_its_connection(ask: Ask, session: Any) -> None:
    moved = [unreported(0, 1, "failed", to="to_d1"), unreported(1, 1, "running", to="to_d0")]
    write(session, [*mapped("d0", "d1"), *moved])
    assert shown(ask) == {
        "d0": ("running", "scheduled__1", 1, False),
        "d1": ("failed", "scheduled__1", 0, False),
    }


def test_first_syncs_that_fail_again_have_one_row_of_the_newest(ask: Ask, session: Any) -> None:
    tries = [Try("daily", day=day, state="failed", rendered={"cohort_id": "c1"}) for day in range(3)]
    write(session, [*tries, Try("daily", day=3, state="running", rendered={"cohort_id": "c1"})])
    assert [(row["state"], row["run_id"]) for row in ask("syncs").json()["syncs"]] == [("running", "scheduled__3")]


@pytest.mark.parametrize(("state", "next_method"), [("awaiting_input", None), ("deferred", "execute_approved")])
def test_a_row_and_a_run_say_that_a_question_is_open(
    ask: Ask, session: Any, state: str, next_method: str | None
) -> None:
    """Airflow 3.3 has a state for it; 3.1 and 3.2 defer the task, as they do for an export."""
    one = Try("daily", state=state, next_method=next_method, xcoms={"sync_report": report("c1")})
    export = Try("other", state="deferred", next_method="execute_complete", xcoms={"sync_report": report("c2")})
    later = Try("third", day=1, state=state, next_method=next_method, rendered={"cohort_id": "c3"})
    write(session, [one, export, Try("third", xcoms={"sync_report": report("c3")}), later])
    for each in (one, export, later):
        write_question(session, each)
    assert {key[0]: row["question_open"] for key, row in rows(ask).items()} == {"c1": True, "c2": False, "c3": True}
    asked = {"dag_id": "daily", "task_id": "sync", "cohort_id": "c1", "destination": "d1"}
    assert [run["question_open"] for run in ask("history", **asked).json()["runs"]] == [True]


def test_an_open_question_comes_before_a_later_sync_of_another_dag(ask: Ask, session: Any) -> None:
    asks = Try("daily", state="awaiting_input", xcoms={"sync_report": report("c1")})
    write(session, [asks, Try("by_hand", day=1, xcoms={"sync_report": report("c1")})])
    write_question(session, asks)
    [row] = rows(ask).values()
    assert (row["dag_id"], row["question_open"]) == ("daily", True)


def test_an_answered_question_and_one_of_before_are_not_open(ask: Ask, session: Any) -> None:
    answered = Try("daily", state="awaiting_input", xcoms={"sync_report": report("c1")})
    cleared = Try("other", state="running", xcoms={"sync_report": report("c2")})
    write(session, [answered, cleared])
    write_question(session, answered, responded_at=NOON, chosen_options=["Send anyway"])
    write_question(session, cleared)
    assert {key[0]: row["question_open"] for key, row in rows(ask).items()} == {"c1": False, "c2": False}


def test_a_paused_dag_has_no_next_run_and_a_removed_one_no_row(ask: Ask, session: Any) -> None:
    due = {"next_dagrun_create_after": NOON}
    tries = [Try(dag_id, xcoms={"sync_report": report(dag_id)}) for dag_id in ("paused", "removed", "due")]
    dags = {"paused": {**due, "is_paused": True}, "removed": {"is_stale": True, "next_dagrun_create_after": None}}
    write(session, tries, dags={**dags, "due": due})
    assert {key[0]: row["next_run_at"] for key, row in rows(ask).items()} == {
        "paused": None,
        "due": "2026-11-20T12:00:00Z",
    }


JUNK: list[object] = [
    None,
    7,
    "text",
    "{",
    [],
    {},
    {"cohort_id": 7},
    {"cohort_id": "c1"},
    {"cohort_id": "c1", "destinations": 3},
]


def test_junk_under_the_key_hides_no_sync(ask: Ask, session: Any) -> None:
    junk = [Try("junk", f"task_{number}", xcoms={"sync_report": value}) for number, value in enumerate(JUNK)]
    write(session, [*junk, Try("daily", xcoms={"sync_report": report()})])
    assert list(rows(ask)) == [("c1", "d1")]
    asked = {"dag_id": "daily", "task_id": "sync", "cohort_id": "c1", "destination": "d1"}
    assert [run["dag_id"] for run in ask("history", **asked).json()["runs"]] == ["daily"]


def test_a_report_that_airflow_stored_as_text_is_read(ask: Ask, session: Any) -> None:
    """``dag.test()`` and XComs set by code store the JSON's text."""
    write(session, [Try("daily", xcoms={"sync_report": json.dumps(report())})])
    assert list(rows(ask)) == [("c1", "d1")]
    asked = {"dag_id": "daily", "task_id": "sync", "cohort_id": "c1", "destination": "d1"}
    assert len(ask("history", **asked).json()["runs"]) == 1


def test_a_history_is_newest_first_and_ends_at_its_limit(ask: Ask, session: Any) -> None:
    write(session, [Try("daily", day=day, xcoms={"sync_report": report("c1", {"known": day})}) for day in range(12)])
    asked = {"dag_id": "daily", "task_id": "sync", "cohort_id": "c1", "destination": "d1"}
    runs = ask("history", **asked, limit=5).json()["runs"]
    assert [run["members"] for run in runs] == [11, 10, 9, 8, 7]
    assert ask("history", **asked, limit=101).status_code == 422
    assert ask("history", **{**asked, "destination": "d2"}).json() == {"runs": []}
    assert ask("history", **{**asked, "cohort_id": "c%"}).json() == {"runs": []}
