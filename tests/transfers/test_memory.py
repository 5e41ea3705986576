"""A large cohort fits into a small worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

MEMBERS = 200_000
TASK = """
import json, re, sys
from pathlib import Path
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
sys.path.insert(0, sys.argv[1])
from fakes.task_instance import FakeTaskInstance
operator = AmplitudeCohortToSegmentOperator(
    task_id="sync", cohort_id="c1", state_path=sys.argv[2], events_per_second=None, poll_interval=0.1
)
report = operator.execute({"ti": FakeTaskInstance()})
# Not getrusage(): its maximum is handed down from the process that started this one.
peak_mib = int(re.search("VmHWM: *\t* *([0-9]+) kB", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"report": report, "peak_mib": peak_mib}))
"""


def test_200000_members_arrive_from_nothing_in_under_400_mb_of_the_task_process(tmp_path: Path) -> None:
    """Airflow's own imports included; the sandbox's memory is another process's."""
    users = [f"user{number}@example.com" for number in range(MEMBERS)]
    cohort = SandboxCohort("c1", "Power Users", users, delivery="storage", gzip=True)
    with Sandbox.start(cohorts=[cohort], port=0) as sandbox:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", TASK, str(Path(__file__).parent.parent), str(tmp_path / "state")],
            env={**os.environ, **sandbox.airflow_connections()},
            check=True,
            capture_output=True,
            text=True,
        )
        believed = sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)")

    outcome = json.loads(done.stdout.splitlines()[-1])
    assert believed == set(users)
    assert outcome["report"]["destinations"][0]["acknowledged"] == MEMBERS
    assert outcome["peak_mib"] < 400
