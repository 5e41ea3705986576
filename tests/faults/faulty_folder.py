"""The real folder of cohort files, as a process that may meet accidents sees it, while Amplitude writes there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.cohort_file_store import CohortFileStore
from airflow_provider_amplitude_segment.exceptions import CohortFilesUnavailableError
from faults.process import RUN, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    from airflow_provider_amplitude_segment.core.export.cohort_files import ListedFile
    from faults.file_writer import FileWriter
    from faults.process import Process

    T = TypeVar("T")


class FaultyFolder:
    """Each operation is a step of ``process``; what it does, the real folder does."""

    def __init__(self, writer: FileWriter, process: Process) -> None:
        self.place = str(writer.folder)
        self._folder = CohortFileStore(writer.folder, self.place)
        self._writer = writer
        self._process = process

    def list_files(self, prefix: str) -> Sequence[ListedFile]:
        return self._take("choose", lambda: self._folder.list_files(prefix))

    def fetch(self, name: str, to: Path) -> bool:
        def fetch() -> bool:
            return self._folder.fetch(name, to)

        def fetch_half() -> bool:
            is_there = fetch()
            if is_there:
                self._writer.book.excuse(self._process.run_key)
                to.write_bytes(to.read_bytes()[: to.stat().st_size // 2])
            return is_there

        return self._take("copy", fetch, fetch_half)

    def _take(self, kind: str, operate: Callable[[], T], operate_half: Callable[[], T] | None = None) -> T:
        with self._process.step(Step(RUN, kind, of_store=True)) as accident:
            self._writer.catch_up()
            if accident == "files move":
                self._writer.hurry()
            if accident == "state path failed":
                raise CohortFilesUnavailableError(self.place, "Input/output error")
            done = operate_half() if accident == "short read" and operate_half else operate()
            if accident == "state path failed late":
                raise CohortFilesUnavailableError(self.place, "Input/output error after the read")
            return done
