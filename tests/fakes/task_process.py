"""A task in a process of its own, so that its memory is not the sandbox's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

_TASK = """
import json, re, sys
from pathlib import Path
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
sys.path.insert(0, sys.argv[1])
from fakes.clock import FastClock
from fakes.task_instance import FakeTaskInstance
parameters = {"cohort_id": "c1", "poll_interval": 0.1, **json.loads(sys.argv[2])}
operator = AmplitudeCohortToSegmentOperator(task_id="sync", **parameters)
operator.clock = FastClock(float(sys.argv[3])) if sys.argv[3:] else None
report = operator.execute({"ti": FakeTaskInstance()})
# Not getrusage(): its maximum is handed down from the process that started this one.
peak_mib = int(re.search("VmHWM: *\\t* *([0-9]+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"report": report, "peak_mib": peak_mib}))
"""


def start_task(sandbox: Sandbox, *, times_faster: float | None = None, **parameters: Any) -> subprocess.Popen[str]:
    """Sync cohort ``c1`` of a sandbox; the last line it prints is JSON with ``report`` and ``peak_mib``.

    With ``times_faster`` so many seconds of the task's clock pass in each real one.
    """
    hurry = [] if times_faster is None else [str(times_faster)]
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", _TASK, str(Path(__file__).parent.parent), json.dumps(parameters), *hurry],
        env={**os.environ, **sandbox.airflow_connections()},
        stdout=subprocess.PIPE,
        text=True,
    )


def outcome_of(task: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait until a task ends well, and return what it printed last."""
    printed, _ = task.communicate()
    assert task.returncode == 0, "the task failed; its error stands above"
    outcome: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return outcome
