"""An Amplitude that computes a cohort when its export is requested."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.core.export.cohort import Cohort
from airflow_provider_amplitude_segment.core.export.download import Download
from airflow_provider_amplitude_segment.core.export.responses import (
    ExportCompleted,
    ExportPending,
    ExportRequested,
    ExportsLimited,
    Usage,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater


class FakeAmplitude:
    """Cohorts by ID, user properties by user as they are when a file is fetched.

    ``answers_before_completion`` are given, once each, to questions after an export.
    """

    def __init__(self) -> None:
        self.cohorts: dict[str, Cohort] = {}
        self.users: dict[str, list[str]] = {}
        self.properties: dict[str, dict[str, str]] = {}
        self.exports: dict[str, list[str]] = {}
        self.columns: dict[str, tuple[str, ...]] = {}
        self.files: dict[str, Path] = {}
        self.limited: list[ExportsLimited] = []
        self.answers_before_completion: list[ExportPending | RetryLater] = []
        self.counted: Usage | None = None
        self.downloads = 0
        # What the responses with files announce, and how many bytes of them come where not all do.
        self.announces_ends = True
        self.cut_after_bytes: int | None = None

    def cohort(self, cohort_id: str, name: str, users: Iterable[str]) -> None:
        self.users[cohort_id] = list(users)
        self.cohorts[cohort_id] = Cohort(
            cohort_id=cohort_id,
            name=name,
            app_id="1234",
            size=len(self.users[cohort_id]),
            last_computed=None,
            archived=False,
            group_type="User",
        )

    @property
    def exports_spent(self) -> int:
        return len(self.exports)

    def list_cohorts(self) -> tuple[Cohort, ...]:
        return tuple(self.cohorts.values())

    def usage(self) -> Usage | None:
        return self.counted

    def request_export(self, cohort_id: str, user_properties: Sequence[str] = ()) -> ExportRequested | ExportsLimited:
        if self.limited:
            return self.limited.pop(0)
        request_id = f"export-{len(self.exports) + 1}"
        self.exports[request_id] = list(self.users[cohort_id])
        self.columns[request_id] = tuple(user_properties)
        return ExportRequested(request_id)

    def export_status(self, request_id: str) -> ExportCompleted | ExportPending | RetryLater:
        assert request_id in self.exports
        return self.answers_before_completion.pop(0) if self.answers_before_completion else ExportCompleted()

    def download(self, request_id: str, to: Path) -> Download:
        self.downloads += 1
        with on_scratch(to):
            self._write_file(request_id, to)
            content = to.read_bytes()[: self.cut_after_bytes]
            return Download(to.write_bytes(content), self.announces_ends)

    def _write_file(self, request_id: str, to: Path) -> None:
        if request_id in self.files:
            to.write_bytes(self.files[request_id].read_bytes())
            return
        with to.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            columns = self.columns[request_id]
            writer.writerow(["amplitude_id", "user_id", *columns])
            writer.writerows(
                [str(n), user, *(self.properties.get(user, {}).get(name, "") for name in columns)]
                for n, user in enumerate(self.exports[request_id])
            )
