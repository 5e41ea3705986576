"""A subject: one program that sends users to the sink, run in a process of its own and watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TESTS = Path(__file__).parents[1]
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Measurement:
    """One run of a subject.

    Attributes:
        seconds: between the start of what is measured and its end.
        processor_seconds: user and system, children's included.
        memory_added_mib: at the peak, to what the process held when the clock started.
        memory_peak_mib: of the process and its children.
        disk_peak_mib: in the folder for temporary files, where one was made for the subject.
        reported: whatever else the subject printed of itself.
    """

    seconds: float
    processor_seconds: float
    memory_added_mib: float
    memory_peak_mib: float
    disk_peak_mib: float
    reported: dict[str, Any]


class SubjectFailedError(Exception):
    """A subject did not end well; its own error stands above."""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that finds the harness, however this one found it."""
    paths = [str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment}


def run_module(module: str, order: Mapping[str, Any], environment: Mapping[str, str]) -> Measurement:
    """Run ``python -m module`` with an order as JSON."""
    return run_program([sys.executable, "-m", module, json.dumps(order)], environment)


def run_program(command: Sequence[str], environment: Mapping[str, str]) -> Measurement:
    """Run a program whose last line is what its stopwatch prints."""
    process = subprocess.Popen(  # noqa: S603 - our own programs
        command,
        env=child_environment(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with _FamilyWatch(process.pid, environment.get("TMPDIR")) as watch:
        printed, said = process.communicate()
    if process.returncode != 0:
        sys.stderr.write(printed + said)
        raise SubjectFailedError(" ".join(command[:3]))
    reported = json.loads(printed.strip().splitlines()[-1])
    own = {name: reported.pop(name) for name in ("seconds", "processor_seconds", "memory_added_mib", "memory_peak_mib")}
    # Of a process without children its own record is exact; with children only the sum at one moment counts.
    of_children = max(0.0, watch.peak_mib - own["memory_peak_mib"])
    own["memory_peak_mib"] += of_children
    own["memory_added_mib"] += of_children
    return Measurement(**own, disk_peak_mib=watch.disk_peak_mib, reported=reported)


class _FamilyWatch:
    """The most that a process and its children held at one moment: memory (PSS), and temporary files."""

    def __init__(self, pid: int, temporary: str | None) -> None:
        self._pid = pid
        self._temporary = Path(temporary) if temporary else None
        self.disk_peak_mib = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_SAMPLE_SECONDS):
            try:
                family = [self._pid, *_descendants(self._pid)]
                if len(family) > 1:
                    self.peak_mib = max(self.peak_mib, sum(map(_shared_fairly_mib, family)))
                if self._temporary:
                    files = [path for path in self._temporary.rglob("*") if path.is_file()]
                    self.disk_peak_mib = max(self.disk_peak_mib, sum(path.stat().st_size for path in files) / 2**20)
            except OSError:
                continue


def _descendants(pid: int) -> Iterator[int]:
    """Yield a process's children and theirs; psutil would read every process of the machine, ten times a second."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)


def _shared_fairly_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
