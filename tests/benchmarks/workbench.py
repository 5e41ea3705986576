"""The workbench: the sink, and a folder with what measurements share, each made once and before any clock starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks.ids import write_export, write_file_set, write_ids, write_lines
from benchmarks.sink_process import SinkProcess
from benchmarks.subject import child_environment, run_module

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.subject import Measurement

TRAIT = "Benchmark (bench)"
"""The trait that ours sends by default for the sink's cohort; the peers send the same."""


class Workbench:
    """A context manager; on leaving, the sink ends and the folder is removed."""

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="benchmark-")
        self.folder = Path(self._temporary.name)
        self.sink = SinkProcess().__enter__()
        self.airflow = {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.__exit__()
        self._temporary.cleanup()

    def lines(self, members: int) -> Path:
        return write_lines(self.folder, members)

    def export(self, members: int, *, first: int = 0, properties: int = 0) -> Path:
        return write_export(self.folder, members, first=first, properties=self.property_names(properties))

    def file_set(self, members: int, moved: int) -> Path:
        return write_file_set(self.folder, members, moved=moved)

    def property_names(self, count: int) -> list[str]:
        return [f"property {number}" for number in range(count)]

    def plan(self, members: int) -> Path:
        """Return a state folder with a plan of so many members, sent for the first time."""
        state = self.folder / f"plan-{members}"
        if not state.exists():
            ids = write_ids(self.folder, members)
            order = {"state": str(state), "scratch": str(self.folder / f"scratch-{members}"), "members": str(ids)}
            self._make("benchmarks.plan", order)
        return state

    def bodies(self, members: int) -> Path:
        """Return a file with that plan's bodies."""
        bodies = self.folder / f"bodies-{members}"
        if not bodies.exists():
            self._make("benchmarks.bodies", {"state": str(self.plan(members)), "bodies": str(bodies)})
        return bodies

    def encode_plan(self, members: int) -> Measurement:
        """Measure what of that is not sending."""
        return run_module("benchmarks.subjects.encoding", {"state": str(self.plan(members))}, self.airflow)

    def deliver_plan(self, members: int) -> Measurement:
        """Measure ours at client level."""
        self.sink.reset()
        environment = {**self.airflow, **self.sink.connections()}
        return run_module("benchmarks.subjects.ours_plan", {"state": str(self.plan(members))}, environment)

    def sync(
        self,
        state: Path | str,
        export: Path | None,
        run: str,
        *,
        listed: int | None = None,
        connections: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Measurement:
        """Measure the operator's whole sync of an export, or of cohort files of a cohort of the listed size."""
        self.sink.hand_out(export, listed)
        self.sink.reset()
        chosen = {"cohort_id": "bench", "state_path": str(state), "events_per_second": None, **parameters}
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        environment = {**self.airflow, **(connections or self.sink.connections()), "TMPDIR": str(temporary)}
        return run_module("benchmarks.subjects.ours_sync", {"run": run, "parameters": chosen}, environment)

    def idle_task(self) -> Measurement:
        return run_module("benchmarks.subjects.idle_task", {}, self.airflow)

    def drop(self, path: Path) -> None:
        """Remove what is needed no more."""
        shutil.rmtree(path, ignore_errors=True)

    def _make(self, module: str, order: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", module, json.dumps(order)]
        subprocess.run(command, check=True, env=child_environment(self.airflow))  # noqa: S603 - our own program
