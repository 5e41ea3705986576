"""Watch the memory of the task processes of a running Airflow."""

from __future__ import annotations

import threading
from typing import Self

import psutil


class MemoryWatch:
    """The most memory of one task process, sampled five times a second.

    ``peak_mib`` is the memory that the process does not share with others (USS), because a task is forked from a parent
    with loaded modules.
    """

    def __init__(self, parent_pid: int) -> None:
        self._parent = psutil.Process(parent_pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mib = 0.0
        self.peak_rss_mib = 0.0

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End watching."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            for process in self._parent.children(recursive=True):
                try:
                    # A worker has its task's name in its title, and runs the task in a child.
                    supervisor = process.parent()
                    if supervisor is None or not " ".join(supervisor.cmdline()).startswith("airflow worker -- "):
                        continue
                    memory = process.memory_full_info()
                except psutil.Error:
                    continue
                self.peak_mib = max(self.peak_mib, memory.uss / 2**20)
                self.peak_rss_mib = max(self.peak_rss_mib, memory.rss / 2**20)
