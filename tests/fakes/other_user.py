"""A process of another user than root's: what is closed to others is closed to it, also where tests run as root.

``OtherUser`` starts this file as a program. It does everything twice: first as itself and on a copy of the state path,
so that all modules are imported (Python's own may lie below root's home), then as user 65534. Where the tests do not
run as root, it stays who it is, and a closed folder is one without any rights.
"""

import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

if __name__ != "__main__":
    from fakes.warm_python import warm_python

OTHER_UID = 65534


class OtherUser:
    """A state path that it owns. A context manager: on leaving, everything is deleted."""

    def __init__(self) -> None:
        # Below pytest's own folder nothing can be reached by others.
        self._place = Path(tempfile.mkdtemp(prefix="other-user-"))
        self._place.chmod(0o755)
        self.state = self._place / "state"
        self.state.mkdir()
        self._closed: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._closed:
            path.chmod(0o700)
        shutil.rmtree(self._place)

    def close(self, name: str) -> None:
        """Take a file or a folder of the state path, made where it is missing, away from the other user."""
        path = self.state / name
        if not path.exists():
            path.mkdir(parents=True)
        self._closed.append(path)

    def run(self, action: str, *arguments: str, user_ids: bytes = b"") -> tuple[int, str, str]:
        """Do ``list``, ``erase``, ``sync`` or ``retire``; return the exit status and what it printed."""
        warm, scratch = self._place / "warm", self._place / "scratch"
        for path in self._closed:
            path.chmod(0o700)
        shutil.rmtree(warm, ignore_errors=True)
        shutil.copytree(self.state, warm, ignore=lambda folder, names: [n for n in names if self._is_closed(folder, n)])
        scratch.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            for path in [scratch, self.state, *self.state.rglob("*")]:
                os.chown(path, OTHER_UID, OTHER_UID)
        for path in self._closed:
            if os.geteuid() == 0:
                os.chown(path, 0, 0)
            path.chmod(0o700 if os.geteuid() == 0 else 0)
        ended = warm_python().run(
            *(__file__, json.dumps([str(warm), str(self.state)]), action, *arguments),
            given=user_ids,
            environment={**os.environ, "TMPDIR": str(scratch)},
        )
        return ended.returncode, ended.stdout, ended.stderr

    def _is_closed(self, folder: str, name: str) -> bool:
        return self.state / Path(folder).relative_to(self.state) / name in self._closed


def _run(action: str, state: str, arguments: list[str]) -> int:
    if action in {"list", "erase"}:
        from airflow_provider_amplitude_segment.__main__ import main  # noqa: PLC0415 - in a program of its own

        return main(["--state-path", state, action, *arguments])
    from airflow_provider_amplitude_segment.operators.retire_trait import (  # noqa: PLC0415
        AmplitudeCohortTraitRetireOperator,
    )
    from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import (  # noqa: PLC0415
        AmplitudeCohortToSegmentOperator,
    )

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fakes.task_instance import FakeTaskInstance  # noqa: PLC0415

    ti = FakeTaskInstance("other user")
    ti.task_id = action
    context: Any = {"ti": ti, "dag_run": ti, "params": {}}
    common = {"task_id": action, "cohort_id": "c1", "state_path": state, "segment_conn_id": arguments[0]}
    if action == "retire":
        AmplitudeCohortTraitRetireOperator(**common).execute(context)
    else:
        AmplitudeCohortToSegmentOperator(**common, poll_interval=0.05).execute(context)
    return 0


if __name__ == "__main__":
    states, action, *arguments = json.loads(sys.argv[1]), *sys.argv[2:]
    given = sys.stdin.buffer.read()
    for state in states:
        sys.stdin = io.TextIOWrapper(io.BytesIO(given))
        if state == states[-1]:
            print("--- as the other user", flush=True)  # noqa: T201
            print("--- as the other user", file=sys.stderr, flush=True)  # noqa: T201
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(OTHER_UID)
                os.setuid(OTHER_UID)
        status = _run(action, state, arguments)
    sys.exit(status)
