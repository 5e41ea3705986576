"""The stopwatch in a subject's process: seconds, processor-seconds, and memory at its peak."""

from __future__ import annotations

import json
import os
import re
import resource
import time
from pathlib import Path
from typing import Any, Self

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """A context manager around what is measured."""

    def __enter__(self) -> Self:
        self._memory_before = memory_mib("VmRSS")
        self._peak_before = memory_mib("VmHWM")
        # So that the peak from here on is seen (proc(5), clear_refs).
        Path("/proc/self/clear_refs").write_text("5")
        self._cpu_before = _processor_seconds()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.processor_seconds = _processor_seconds() - self._cpu_before

    def report(self, **more: Any) -> None:
        """Print what was measured as the line that the harness reads."""
        figures = {
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "memory_added_mib": max(0.0, memory_mib("VmHWM") - self._memory_before),
            "memory_peak_mib": max(self._peak_before, memory_mib("VmHWM")),
        }
        print(json.dumps(figures | more), flush=True)


def memory_mib(field: str) -> float:
    """Return a field of this process's status; not of getrusage, whose maximum a parent hands down."""
    found = re.search(rf"{field}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _processor_seconds() -> float:
    """Return processor time of this process, of children that ended, and of those that run."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF)
    spent = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, cutime, cstime: fields 14 to 17 of proc(5), of which the first two are cut off here.
            spent += sum(int(field) for field in fields[11:15]) / _CLOCK_TICKS
    return spent
