"""Put reports of the past into Airflow's SQLite database, because 20,000 real syncs would take days."""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, Any]


@dataclass(frozen=True)
class PastCohort:
    """A cohort that was synced every day.

    Attributes:
        conn_id: the connection of its destination.
        members: after the first sync.
        growth: what is added each day.
        last: the state of the newest run.
    """

    cohort_id: str
    name: str
    conn_id: str = "segment_default"
    members: int = 12_000
    growth: int = 20
    last: str = "success"


class PastReports:
    """Makes runs like one that has ended: the rows of that one are what the new ones are copies of."""

    def __init__(self, home: Path, dag_id: str, run_id: str, task_id: str = "sync") -> None:
        self._database = home / "airflow.db"
        self._dag_id, self._run_id, self._task_id = dag_id, run_id, task_id

    def write(self, cohorts: list[PastCohort], days: int) -> None:
        """Write a run for each day until now, with a mapped task instance and a report for each cohort."""
        with closing(sqlite3.connect(self._database, timeout=60)) as database, database:
            database.row_factory = sqlite3.Row
            of_run = "dag_id = ? AND run_id = ?"
            run = self._one(database, "dag_run", of_run, self._dag_id, self._run_id)
            task = self._one(
                database, "task_instance", f"{of_run} AND task_id = ?", self._dag_id, self._run_id, self._task_id
            )
            # A few seconds late, because Airflow itself has made the newest run of a DAG that has a schedule.
            now = datetime.now(UTC).replace(hour=3, minute=0, second=7, microsecond=0)
            now -= timedelta(days=now > datetime.now(UTC))
            for day in range(days, 0, -1):
                at = now - timedelta(days=day - 1)
                self._write_day(database, run, task, cohorts, at, days - day, is_last=day == 1)

    def _write_day(
        self, database: sqlite3.Connection, run: Row, task: Row, cohorts: list[PastCohort], at: datetime, day: int, *,
        is_last: bool,
    ) -> None:  # fmt: skip
        run_id, moment = (
            f"scheduled__{at.isoformat()}",
            at.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds"),
        )
        new_run = {name: value for name, value in run.items() if name != "id"}
        new_run |= {
            "run_id": run_id,
            "run_after": moment,
            "logical_date": None,
            "start_date": moment,
            "end_date": moment,
        }
        run_key = self._insert(database, "dag_run", [new_run])
        tasks, xcoms, questions = [], [], []
        for index, cohort in enumerate(cohorts):
            state = cohort.last if is_last else "success"
            task_key = uuid.uuid4().hex
            tasks.append({**task, "id": task_key, "run_id": run_id, "map_index": index, "state": state})
            if state == "awaiting_input":
                questions.append(open_question(task_key, moment))
            xcoms.append({
                "dag_run_id": run_key, "task_id": self._task_id, "map_index": index, "key": "sync_report",
                "dag_id": self._dag_id, "run_id": run_id, "timestamp": moment,
                "value": json.dumps(past_report(cohort, day, state)),
            })  # fmt: skip
        self._insert(database, "task_instance", tasks)
        self._insert(database, "xcom", xcoms)
        if questions:
            self._insert(database, "hitl_detail", questions)

    @staticmethod
    def _one(database: sqlite3.Connection, table: str, condition: str, *values: str) -> Row:
        return dict(database.execute(f"SELECT * FROM {table} WHERE {condition}", values).fetchone())

    @staticmethod
    def _insert(database: sqlite3.Connection, table: str, rows: list[Row]) -> int:
        names = list(rows[0])
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        for row in rows:
            key = database.execute(statement, [row[name] for name in names]).lastrowid
        return int(key or 0)


def open_question(task_key: str, moment: str) -> Row:
    """Return Airflow's row of a question without a response."""
    return {
        "ti_id": task_key, "created_at": moment, "subject": "Send the cohort?", "body": "Many members would exit.",
        "options": json.dumps(["Send anyway", "Do not send"]), "defaults": json.dumps(["Do not send"]), "multiple": 0,
        "params": "{}", "params_input": "{}",
    }  # fmt: skip


def past_report(cohort: PastCohort, day: int, state: str) -> Row:
    """Return the report of one sync, whose counts add up."""
    chance = random.Random(f"{cohort.cohort_id} {day}")  # noqa: S311 - the same counts each time
    exited = chance.randrange(10, 120)
    entered = max(0, cohort.growth + exited + chance.randrange(-60, 60))
    if state == "skipped":
        entered = exited = 0
    if state == "awaiting_input":
        exited = cohort.members // 3
    members = cohort.members + cohort.growth * day + chance.randrange(-90, 90) - (exited if exited > 120 else 0)
    planned = entered + exited
    acknowledged = {"success": planned, "failed": planned // 2}.get(state, 0)
    error = "Segment did not respond. Some changes are pending. Check Segment's status. Airflow retries this task."
    destination = {
        "segment_conn_id": cohort.conn_id, "destination": f"dst-{cohort.conn_id}", "mode": "incremental",
        "trait": f"{cohort.name} ({cohort.cohort_id})", "entered": entered, "exited": exited, "retired": 0,
        "changed": 0, "unchanged": members - entered, "in_doubt": 0, "planned": planned, "acknowledged": acknowledged,
        "rejected": 0, "skipped": 0, "pending": planned - acknowledged, "batches": 1, "retries": 0, "seconds": 1.5,
        "generation": day + 1, "follows": day, "committed": state in {"success", "skipped"}, "known": members,
        "error": error if state == "failed" else None, "planned_changes": None, "rejected_users": None,
        "source_checked": None,
    }  # fmt: skip
    return {
        "cohort_id": cohort.cohort_id, "cohort_name": cohort.name, "cohort_size": members, "export_request_id": "r",
        "rows": members, "members": members, "anonymous": 0, "duplicates": 0, "exports_left": None, "dry_run": False,
        "destinations": [destination],
    }  # fmt: skip
