"""Each route responds only to a login, and only with what the user may read in Airflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.auth_manager import token_of
from fakes.metadata_rows import Try, report, write, write_question
from fastapi.testclient import TestClient

from airflow_provider_amplitude_segment.ui import static_files
from airflow_provider_amplitude_segment.ui.api import create_app

Ask = Callable[..., Any]

OURS = {"dag_id": "ours", "task_id": "sync", "run_id": "scheduled__0"}
STREAM = {"cohort_id": "c1", "destination": "d1"}
ROUTES: dict[str, dict[str, object]] = {
    "syncs": {},
    "history": {"dag_id": "ours", "task_id": "sync", **STREAM},
    "task": {**OURS},
    "pages/cohort_syncs.js": {},
}
ANSWERS = {
    # route: without a login, a viewer of the DAG, a viewer of another DAG, an admin
    "syncs": (401, 200, 200, 200),
    "history": (401, 200, 403, 200),
    "task": (401, 200, 403, 200),
    "pages/cohort_syncs.js": (401, 200, 200, 200),
}
USERS = (None, "only:ours", "only:theirs", "admin")


@pytest.fixture(autouse=True)
def two_dags(session: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two DAGs, each with a sync of the same cohort to the same destination."""
    monkeypatch.setattr(
        "airflow_provider_amplitude_segment.ui.api.page_files",
        lambda: {"cohort_syncs.js": (b"export {};", "text/javascript; charset=utf-8")},
    )
    ours = Try("ours", xcoms={"sync_report": report()})
    write(session, [ours, Try("theirs", day=1, xcoms={"sync_report": report()})])
    write_question(session, ours)
    return session


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_answers_each_user_as_the_table_says(ask: Ask, route: str) -> None:
    assert tuple(ask(route, user, **ROUTES[route]).status_code for user in USERS) == ANSWERS[route]


def test_the_table_has_every_route_and_all_only_read() -> None:
    routes = {(route.path, *route.methods) for route in create_app().routes}  # type: ignore[attr-defined]
    assert routes == {("/syncs", "GET"), ("/history", "GET"), ("/task", "GET"), ("/pages/{name}", "GET")}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("route", ROUTES)
def test_no_route_takes_a_method_that_changes_something(server: Any, route: str, method: str) -> None:
    assert TestClient(server).request(method, f"/cohort-syncs/{route}").status_code == 405


def test_a_wrong_token_is_no_login(server: Any) -> None:
    for route in ROUTES:
        headers = {"Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"}
        assert TestClient(server).get(f"/cohort-syncs/{route}", headers=headers).status_code in {401, 403}


def test_the_cookie_of_a_browser_is_a_login(server: Any) -> None:
    """A browser imports a module with its cookies, and with no header."""
    token = token_of(server.state.auth_manager, "admin", "ADMIN")
    client = TestClient(server, cookies={"_token": token})
    assert [client.get(f"/cohort-syncs/{route}", params=ROUTES[route]).status_code for route in ROUTES] == [200] * 4  # type: ignore[arg-type]


def test_a_viewer_of_one_dag_sees_the_syncs_of_that_dag_only(ask: Ask) -> None:
    assert [row["dag_id"] for row in ask("syncs", "only:ours").json()["syncs"]] == ["ours"]
    assert [row["dag_id"] for row in ask("syncs", "only:nothing").json()["syncs"]] == []
    assert [row["dag_id"] for row in ask("syncs", "admin").json()["syncs"]] == ["theirs"]


def test_a_history_has_the_runs_of_the_dags_that_the_user_may_read(ask: Ask) -> None:
    asked = ROUTES["history"]
    assert [run["dag_id"] for run in ask("history", "only:ours", **asked).json()["runs"]] == ["ours"]
    assert [run["dag_id"] for run in ask("history", "admin", **asked).json()["runs"]] == ["theirs", "ours"]


def test_the_wildcard_of_airflow_shows_no_more(ask: Ask) -> None:
    """``~`` is all DAGs in Airflow's own routes."""
    found = ask("history", "only:ours", **{**ROUTES["history"], "dag_id": "~"})
    assert found.status_code == 403 or [run["dag_id"] for run in found.json()["runs"]] == ["ours"]
    assert ask("task", "only:ours", **{**OURS, "dag_id": "~"}).status_code in {403, 404}


@pytest.mark.parametrize("user", ["no_xcoms", "no_instances"])
def test_a_user_without_the_right_to_xcoms_or_to_task_instances_sees_no_sync(ask: Ask, user: str) -> None:
    """Airflow lets an administrator give a DAG without them."""
    assert ask("syncs", user).json() == {"syncs": [], "truncated": False}
    assert ask("history", user, **ROUTES["history"]).status_code == 403
    assert ask("task", user, **OURS).status_code == 403


def test_a_question_is_shown_to_a_user_who_may_read_questions(ask: Ask) -> None:
    assert ask("task", "only:ours", **OURS).json()["question"]["subject"] == "Send 40 exits?"
    denied = ask("task", "no_questions", **OURS).json()
    assert (denied["kind"], denied["question"]) == ("sync", None)


def test_an_open_question_is_in_the_list_of_a_user_who_may_read_questions(ask: Ask, two_dags: Any) -> None:
    waits = Try("asking", state="awaiting_input", xcoms={"sync_report": report("c7")})
    write(two_dags, [waits])
    write_question(two_dags, waits)
    stream = {"dag_id": "asking", "task_id": "sync", "cohort_id": "c7", "destination": "d1"}

    def is_open(user: str) -> set[bool]:
        runs = ask("history", user, **stream).json()["runs"]
        listed = [row for row in ask("syncs", user).json()["syncs"] if row["cohort_id"] == "c7"]
        return {row["question_open"] for row in [*listed, *runs]}

    assert [is_open(user) for user in ("admin", "only:asking", "no_questions")] == [{True}, {True}, {False}]


def test_a_first_sync_is_in_the_list_of_those_who_may_read_its_dag(ask: Ask, two_dags: Any) -> None:
    write(two_dags, [Try("failing", state="failed", rendered={"cohort_id": "c8"})])
    users = ("admin", "only:failing", "only:ours", "no_xcoms", "no_instances")
    found = [{row["dag_id"] for row in ask("syncs", user).json()["syncs"]} for user in users]
    assert found == [{"theirs", "failing"}, {"failing"}, {"ours"}, set(), set()]


def test_no_cache_keeps_what_a_user_was_shown(ask: Ask) -> None:
    for route in ("syncs", "history", "task"):
        assert ask(route, **ROUTES[route]).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["..%2fapi.py", "../api.py", "api.py", "", "package.json", "cohort_syncs.js/"])
def test_only_the_modules_of_the_pages_are_files(ask: Ask, name: str) -> None:
    assert ask(f"pages/{name}").status_code in {404, 405}


def test_a_page_file_is_a_module_or_a_style_sheet_and_nothing_else() -> None:
    types = {name.rpartition(".")[2]: media for name, (_, media) in static_files.page_files().items()}
    known = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
    assert types.items() <= known.items()
    assert {"cohort_syncs.js", "cohort_sync_tab.js"} <= set(static_files.page_files())


def test_no_user_id_and_no_unknown_field_of_a_report_leaves_the_server(ask: Ask, two_dags: Any) -> None:
    leaking = report("c9", {"rejected_user_ids": ["user-7"], "users": {"user-7": True}}, sample=["user-7"])
    one = Try("leaking", xcoms={"sync_report": leaking, "verify_report": {**leaking, "sampled_users": ["user-7"]}})
    write(two_dags, [one])
    asked = {"dag_id": "leaking", "task_id": "sync"}
    bodies = [
        ask("syncs").text,
        ask("history", **asked, cohort_id="c9", destination="d1").text,
        ask("task", **asked, run_id=one.run_id).text,
    ]
    assert [('"entered"' in body, "user-7" in body) for body in bodies] == [(True, False)] * 3, bodies
