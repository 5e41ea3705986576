"""The processes of one Airflow: its parts, its tasks, and those whose parent has died."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_KILL_WITHIN_SECONDS = 40


@dataclass(frozen=True)
class ProcessTree:
    """The processes below ``root``, and all others with the same ``AIRFLOW_HOME``."""

    root: subprocess.Popen[bytes]
    home: Path

    def processes(self) -> list[psutil.Process]:
        """Return those that are alive, and zombies."""
        found = {process.pid: process for process in self._below_root()}
        for process in psutil.process_iter():
            try:
                if process.environ().get("AIRFLOW_HOME") == str(self.home):
                    found[process.pid] = process
            except psutil.Error:
                continue
        return list(found.values())

    def connected_to(self, port: int) -> list[psutil.Process]:
        """Return those that hold a connection to a local port."""
        # All connections are listed at once, because a list for each process takes seconds on a busy machine.
        connected = {c.pid for c in psutil.net_connections("tcp") if c.raddr and c.raddr.port == port and c.pid}
        # The caller itself may be at the other end.
        if connected <= {os.getpid()}:
            return []
        return [process for process in self.processes() if process.pid in connected]

    def kill(self) -> None:
        """Kill all of them, also those that were started meanwhile."""
        deadline = time.monotonic() + _KILL_WITHIN_SECONDS
        while (alive := self.processes()) and time.monotonic() < deadline:
            for process in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self.root.poll()
            psutil.wait_procs(alive, timeout=5)
        self.root.wait(timeout=5)

    def _below_root(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.root.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
