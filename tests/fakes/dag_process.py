"""A DAG file's ``dag.test()`` in a process of its own, for settings that must stand before Airflow is imported."""

from __future__ import annotations

import os
from pathlib import Path

from fakes.warm_python import IN_PROCESS_API, warm_python

_PROGRAM = """
import faulthandler, sys
faulthandler.dump_traceback_later(int(sys.argv[3]), exit=True)
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fakes.tested_dag import parse_dag
from fakes.airflow_stats import initialize_stats
initialize_stats()
print("state:", parse_dag(Path(sys.argv[2])).test().state)
"""


def run_dag_in_process(file: Path, environment: dict[str, str]) -> str:
    """Run a DAG; return the state it ended in."""
    return run_dag_and_read(file, environment)[0]


def run_dag_and_read(file: Path, environment: dict[str, str], *, within_seconds: int = 90) -> tuple[str, str]:
    """Run a DAG; return the state it ended in, and everything that its process wrote."""
    ended = warm_python().run(
        *("-c", _PROGRAM, str(Path(__file__).parent.parent), str(file), str(within_seconds)),
        environment={**os.environ, **environment},
        first=IN_PROCESS_API,
    )
    states = [line for line in ended.stdout.splitlines() if line.startswith("state: ")]
    printed = ended.stdout + ended.stderr
    assert states, printed
    return states[-1].removeprefix("state: ").rpartition(".")[2].lower(), printed
