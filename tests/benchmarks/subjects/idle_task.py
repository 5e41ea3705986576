"""An idle task: Airflow is there, an operator of it runs and does nothing. What it holds is not the sync's."""

from __future__ import annotations

import sys
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from benchmarks.stopwatch import Stopwatch


class Idle(BaseOperator):
    """Does nothing; Airflow 2.11 has its own such operator elsewhere than 3."""

    def execute(self, context: Any) -> None:
        """Do nothing."""


def main() -> int:
    """Run nothing."""
    idle = Idle(task_id="idle")
    with Stopwatch() as stopwatch:
        idle.execute({})
    stopwatch.report(modules=sorted(sys.modules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
