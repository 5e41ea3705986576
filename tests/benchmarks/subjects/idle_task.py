"""An idle task: Airflow is there, an operator of it runs and does nothing. What it holds is not the sync's."""

from __future__ import annotations

import sys

from airflow.providers.standard.operators.empty import EmptyOperator

from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Run nothing."""
    idle = EmptyOperator(task_id="idle")
    with Stopwatch() as stopwatch:
        idle.execute({})
    stopwatch.tell(modules=sorted(sys.modules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
