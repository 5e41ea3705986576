"""Amplitude's destination "Amazon S3 (Cohorts)": each sync of a cohort writes a set of three files."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_provider_amplitude_segment.sandbox.cohorts import APP_ID
from airflow_provider_amplitude_segment.sandbox.file_form import DiffType, FileForm, Row, file_name
from airflow_provider_amplitude_segment.sandbox.file_target import open_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_amplitude_segment.sandbox.amplitude import SandboxAmplitude
    from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.file_target import FileTarget

DIFFTYPES: tuple[DiffType, ...] = ("entering", "exiting", "existing")

Existing = Literal["last sync", "today", "stayed", "ever"]
"""What *existing* holds: the members of the last sync; today's; those of both; or each user who ever was a member."""

SetFault = Literal["late", "half-written", "contradictory", "overwritten"]
"""What goes wrong with a set: the last file is written when ``finish`` is called, and the others now; of the last
file, half of its bytes are there until then; *existing* lacks every second user, so that no reading has the listed
size; or it replaces the set before it under the same names, one file now and one with each call of ``finish``."""


class FilesRefused(Exception):  # noqa: N818 - a request that cannot be met, not a failure of the sandbox
    """A set cannot be written: no place is set, there is no such cohort, or the cohort has no such files."""


@dataclass(slots=True)
class FileSet:
    """The files of one sync of one cohort."""

    cohort_id: str
    stamp: str
    at: float
    """Epoch seconds of the sync, by the sandbox's clock."""
    user_ids: frozenset[str] = field(repr=False)
    """The members with a user ID at the time of the sync."""
    fault: SetFault | None = None
    written: list[str] = field(default_factory=list)
    """Names of the files that are there, in the order of writing."""
    unwritten: list[tuple[str, bytes]] = field(default_factory=list, repr=False)
    """Names and bytes of the files that are not there, or not wholly."""

    @property
    def is_complete(self) -> bool:
        """Whether all three files are there as they are to stay."""
        return not self.unwritten

    def as_shown(self) -> dict[str, Any]:
        """The set for the control calls."""
        return {
            "cohort_id": self.cohort_id,
            "stamp": self.stamp,
            "at": self.at,
            "members": len(self.user_ids),
            "fault": self.fault,
            "written": list(self.written),
            "unwritten": [name for name, _ in self.unwritten],
        }


class CohortFiles:
    """The destination. A test may set its attributes, and write sets, while the server runs."""

    def __init__(self, amplitude: SandboxAmplitude, *, clock: Callable[[], float]) -> None:
        self.target: FileTarget | None = None
        self.form = FileForm()
        self.existing: Existing = "last sync"
        self.routing_key = ""
        self.project_id = APP_ID
        self._amplitude = amplitude
        self._clock = clock
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Forget every set, as if no cohort had been synced; the files stay, and so does the place."""
        with self._lock:
            self.sets: list[FileSet] = []
            self._last: dict[str, dict[Row, None]] = {}
            self._ever: dict[str, dict[Row, None]] = {}

    def write_to(self, where: str | Path | FileTarget, **options: Any) -> None:
        """Write sets to a folder, or to the URL of an object store; ``options`` are those of its fsspec file system.

        Raises:
            ImportError: the library of the URL is not installed.
            ValueError: fsspec knows no such URL.
        """
        self.target = open_target(where, options)

    def write(self, cohort_id: str, *, fault: SetFault | None = None, files: int | None = None) -> FileSet:
        """Sync a cohort to the place.

        Args:
            cohort_id: the cohort.
            fault: what goes wrong.
            files: how many files are written now, instead of all or of the number that the fault says; ``finish``
                writes the others.

        Raises:
            FilesRefused: no place is set, or the cohort is unknown, archived or one of groups; nothing is written.
            OSError: the place failed. ``finish`` writes what is missing.
        """
        if fault is not None and fault not in get_args(SetFault):
            raise FilesRefused(f"fault={fault!r}: takes one of {', '.join(get_args(SetFault))}")
        with self._lock:
            made = self._new_set(self._cohort(cohort_id), fault)
            self.sets.append(made)
            now = {"late": 2, "half-written": 2, "overwritten": 1}.get(fault or "", len(DIFFTYPES))
            self.put(made, now if files is None else files)
            if fault == "half-written" and len(made.unwritten) == 1:
                name, content = made.unwritten[0]
                self._target().put(name, content[: len(content) // 2], self._clock())
            return made

    def write_all(self) -> list[FileSet]:
        """Sync each cohort of users that is not archived, as the destination does at each hour."""
        with self._lock:
            synced = [
                c.cohort_id for c in self._amplitude.cohorts.values() if not c.archived and c.group_type == "User"
            ]
            return [self.write(cohort_id) for cohort_id in synced]

    def finish(self, cohort_id: str, *, files: int = len(DIFFTYPES)) -> list[FileSet]:
        """Write the files that the cohort's unfinished sets lack, at most ``files`` of each; return these sets.

        Raises:
            FilesRefused: no place is set.
            OSError: the place failed.
        """
        with self._lock:
            unfinished = [made for made in self.sets if made.cohort_id == cohort_id and not made.is_complete]
            for made in unfinished:
                self.put(made, files)
            return unfinished

    def put(self, made: FileSet, files: int) -> None:
        """Write at most so many of the files that a set lacks.

        Raises:
            FilesRefused: no place is set.
            OSError: the place failed.
        """
        for _ in range(min(files, len(made.unwritten))):
            name, content = made.unwritten[0]
            self._target().put(name, content, self._clock())
            made.written.append(name)
            made.unwritten.pop(0)

    def _new_set(self, cohort: SandboxCohort, fault: SetFault | None) -> FileSet:
        now = self._clock()
        earlier = next((made for made in reversed(self.sets) if made.cohort_id == cohort.cohort_id), None)
        stamp = earlier.stamp if fault == "overwritten" and earlier else self.form.stamp(now)
        made = FileSet(cohort.cohort_id, stamp, now, frozenset(filter(None, cohort.user_ids)), fault)
        for difftype, rows in self._rows(cohort).items():
            kept = list(rows)[::2] if fault == "contradictory" and difftype == "existing" else list(rows)
            name = file_name(self.project_id, cohort.cohort_id, stamp, difftype, self.routing_key)
            made.unwritten.append((name, self.form.content(kept, cohort.properties)))
        return made

    def _rows(self, cohort: SandboxCohort) -> dict[DiffType, dict[Row, None]]:
        """Return the rows of the three files, and remember the members for the next sync."""
        today = dict.fromkeys(_numbered(cohort))
        last = self._last.get(cohort.cohort_id, {})
        ever = {**self._ever.get(cohort.cohort_id, {}), **today}
        self._last[cohort.cohort_id], self._ever[cohort.cohort_id] = today, ever
        stayed = {row: None for row in today if row in last}
        existing = {"last sync": last, "today": today, "stayed": stayed, "ever": ever}[self.existing]
        entering = {row: None for row in today if row not in last}
        return {"entering": entering, "exiting": {row: None for row in last if row not in today}, "existing": existing}

    def _cohort(self, cohort_id: str) -> SandboxCohort:
        self._target()
        cohort = self._amplitude.cohorts.get(cohort_id)
        if cohort is None:
            raise FilesRefused(f"no cohort {cohort_id!r}")
        if cohort.archived or cohort.group_type != "User":
            raise FilesRefused(f"the cohort {cohort_id!r} is archived, or one of groups: it is not synced to files")
        return cohort

    def _target(self) -> FileTarget:
        if self.target is None:
            raise FilesRefused("no place for cohort files is set: start the sandbox with --cohort-files, or write_to()")
        return self.target


def _numbered(cohort: SandboxCohort) -> list[Row]:
    """Return a cohort's rows as an export has them: anonymous users, members, and rows that repeat a member."""
    anonymous = [("", number) for number in range(cohort.anonymous)]
    members = [(user_id, 0) for user_id in cohort.user_ids]
    repeated = range(cohort.duplicates if cohort.user_ids else 0)
    copies = [(cohort.user_ids[n % len(cohort.user_ids)], 1 + n // len(cohort.user_ids)) for n in repeated]
    return [*anonymous, *members, *copies]
