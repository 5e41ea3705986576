"""The list of 200 cohorts with 100 runs each is one request and a fixed number of queries."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from airflow import settings
from fakes.metadata_rows import Try, report, write, write_question
from sqlalchemy import event

Ask = Callable[..., Any]

log = logging.getLogger(__name__)
COHORTS = 200
RUNS = 100
# The DAGs with syncs, the DAGs that the user may read, the reports, the task instances, the questions; and two for
# teams, of which Airflow 3.2 and later ask.
MOST_QUERIES = 7


@pytest.fixture
def queries() -> Iterator[list[str]]:
    """The queries of a route, without the one by which Airflow 3.2 asks whether a login is revoked."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if statement.lstrip().startswith("SELECT") and "revoked_token" not in statement:
            seen.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    yield seen
    event.remove(settings.engine, "before_cursor_execute", note)


def timed(ask: Ask, route: str, **params: object) -> Any:
    began = time.monotonic()
    found = ask(route, **params)
    log.info("%s took %.2f s and has %s bytes", route, time.monotonic() - began, f"{len(found.content):,}")
    return found.json()


def cohort(number: int, day: int) -> Try:
    counts = {"known": 100_000 + day, "trait": f"Cohort {number} (c{number})", "planned": 4, "acknowledged": 4}
    body = report(f"c{number}", {**counts, "planned_changes": "s3://bucket/ledger/" + "x" * 200})
    return Try("many" if number % 2 else f"daily_{number}", "sync", number, day, xcoms={"sync_report": body})


def test_a_list_of_20_000_reports_takes_a_few_queries(ask: Ask, session: Any, queries: list[str]) -> None:
    write(session, [cohort(number, day) for number in range(COHORTS) for day in range(RUNS)])
    assert len(timed(ask, "syncs")["syncs"]) == COHORTS  # it also imports the routes
    queries.clear()

    listed = timed(ask, "syncs")

    assert (len(listed["syncs"]), listed["truncated"]) == (COHORTS, False)
    assert {row["run_id"] for row in listed["syncs"]} == {"scheduled__99"}
    assert len(queries) <= MOST_QUERIES

    queries.clear()
    asked = {"dag_id": "many", "task_id": "sync", "map_index": 7, "cohort_id": "c7", "destination": "d1"}
    runs = timed(ask, "history", **asked)["runs"]
    assert [run["members"] for run in runs] == [100_000 + day for day in reversed(range(RUNS))]
    assert len(queries) <= MOST_QUERIES


def test_a_list_with_failures_and_questions_of_each_cohort_takes_as_many_queries_and_two_seconds(
    ask: Ask, session: Any, queries: list[str]
) -> None:
    """A tenth of the 20,000 runs failed before they reported; the last run of each cohort asks."""
    failed = [replace(cohort(number, day), state="failed", xcoms={}, rendered=rendered(number))
              for number in range(COHORTS) for day in range(90, RUNS)]  # fmt: skip
    asking = [
        replace(cohort(number, RUNS), state="awaiting_input", rendered=rendered(number)) for number in range(COHORTS)
    ]
    write(session, [cohort(number, day) for number in range(COHORTS) for day in range(90)] + failed + asking)
    for one in asking:
        write_question(session, one)
    ask("syncs")
    queries.clear()
    began = time.monotonic()

    listed = timed(ask, "syncs")["syncs"]

    assert time.monotonic() - began < 2
    assert len(queries) <= MOST_QUERIES
    assert (len(listed), {row["question_open"] for row in listed}) == (COHORTS, {True})


def rendered(number: int) -> dict[str, object]:
    return {"cohort_id": f"c{number}", "segment_context": {"x": "y" * 500}}
