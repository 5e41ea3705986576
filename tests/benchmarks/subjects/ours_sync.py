"""Ours, end to end: the operator's whole sync, from the list of cohorts to the commit; imports inside it included."""

from __future__ import annotations

import json
import sys

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
from benchmarks.stopwatch import Stopwatch


class _TaskInstance:
    """What the operator asks of a task instance; the tests' fake would bring half the package along beforehand."""

    dag_id, task_id, try_number, map_index = "benchmark", "sync", 1, -1

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.xcoms: dict[str, object] = {}

    def xcom_pull(self, **_: object) -> None:
        return None

    def xcom_push(self, key: str, value: object) -> None:
        self.xcoms[key] = value


def main() -> int:
    """Run one sync with the operator's parameters."""
    order = json.loads(sys.argv[1])
    operator = AmplitudeCohortToSegmentOperator(task_id="sync", **order["parameters"])
    context = {"ti": _TaskInstance(order["run"])}
    with Stopwatch() as stopwatch:
        report = operator.execute(context)
    stopwatch.report(report=report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
