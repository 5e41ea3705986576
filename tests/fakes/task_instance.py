"""A task instance that remembers what was pushed."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

Sync = Callable[..., dict[str, Any]]
"""Runs the operator's parameters, given by name, on a task instance that may come first."""


class FakeTaskInstance:
    """What the operator asks of ``context["ti"]``."""

    def __init__(self, run_id: str = "manual__1", try_number: int = 1, map_index: int = -1) -> None:
        self.dag_id = "dag"
        self.task_id = "sync"
        self.run_id = run_id
        self.try_number = try_number
        self.map_index = map_index
        # Clearing the task raises it.
        self.max_tries = 0
        self.xcoms: dict[str, Any] = {}
        # What earlier runs of the task left.
        self.remembered: dict[str, Any] = {}
        # What its DAG run was triggered with, and the Params of its DAG.
        self.conf: dict[str, Any] = {}
        self.params: dict[str, Any] = {}
        # What else Airflow puts into the context.
        self.context: dict[str, Any] = {}
        # Of the task instance, over all tries.
        self.id = uuid4()

    def next_run(self, run_id: str) -> "FakeTaskInstance":
        """Return the task's instance of a later run: it finds the XComs of this one."""
        later = FakeTaskInstance(run_id)
        later.remembered = {**self.remembered, **self.xcoms}
        later.context = self.context
        return later

    def xcom_pull(self, task_ids: str, key: str, *, include_prior_dates: bool) -> Any:
        assert (task_ids, include_prior_dates) == (self.task_id, True)
        return self.remembered.get(key)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value
