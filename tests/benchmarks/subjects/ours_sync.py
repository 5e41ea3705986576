"""Ours, end to end: the operator's whole sync, from the list of cohorts to the commit; imports inside it included."""

from __future__ import annotations

import json
import sys

from fakes.task_instance import FakeTaskInstance

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Run one sync with the operator's parameters."""
    order = json.loads(sys.argv[1])
    operator = AmplitudeCohortToSegmentOperator(task_id="sync", **order["parameters"])
    context = {"ti": FakeTaskInstance(run_id=order["run"])}
    with Stopwatch() as stopwatch:
        report = operator.execute(context)
    stopwatch.tell(report=report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
