"""Choose which set of cohort files to sync: the newest complete one, never one older than was synced last.

A set is complete when all three files have one stamp and none has changed for a minute (design 3.6). Amplitude writes
no marker of the end, so a newer set that is still being written is waited for, as long as its files keep coming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS, duration
from airflow_provider_amplitude_segment.core.export.cohort_files import FileSet, find_sets, parse_name, stamped_hour
from airflow_provider_amplitude_segment.exceptions import (
    CohortFilesFutureError,
    CohortFilesIncompleteError,
    CohortFilesMissingError,
    CohortFilesOlderError,
    CohortFilesProjectError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.export.cohort_files import ListedFile

SETTLED_SECONDS = 60.0
"""How long the files of a complete set have not changed."""

GROWING_SECONDS = 300.0
"""How long after its last file a set without all three is waited for."""

MOST_SPREAD_SECONDS = 600.0
"""Less than this lies between the first and the last file of a set. With the stamp as documented, without minutes, two
sets of one hour, or two hourly sets of one day, can have one name; then one may have overwritten a part of the other.
"""

AFTER_EXPORT_SECONDS = 3600.0
"""How long after an export's request a set may have been computed before it: its files are newer than its members by a
time that Amplitude does not document."""

# A stamp's time zone is unknown: it is up to 14 hours ahead of UTC.
_STAMP_TOLERANCE_SECONDS = 15 * 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sets may be chosen.

    Attributes:
        place: the folder, for messages.
        project_id: of the cohort; empty where Amplitude does not list it.
        cohort_id: whose files.
        not_before: seconds since 1970, when what was synced last was exported; 0 for a first sync.
        requested_at: seconds since 1970, when that was requested as an export of the API; 0 where it was a set.
        waiting_since: when the run began, in seconds since 1970; ``None`` where that is unknown.
    """

    place: str
    project_id: str
    cohort_id: str
    not_before: float = 0.0
    requested_at: float = 0.0
    waiting_since: float | None = None


@dataclass(frozen=True, slots=True)
class StillWritten:
    """A set is being written; choose again after some time.

    Attributes:
        stamp: of the set.
        seconds: after which it may be complete.
        problem: what it lacks, in words.
    """

    stamp: str
    seconds: float
    problem: str


def choose_set(files: Sequence[ListedFile], wanted: Wanted, now: float) -> FileSet | StillWritten:
    """Return the newest complete set; or what to wait for, if a newer one is being written.

    Args:
        files: of the folder.
        wanted: which sets may be chosen.
        now: seconds since 1970.

    Raises:
        CohortFilesMissingError: the cohort has no set yet.
        CohortFilesProjectError: only another project has a cohort of this ID there, or several have.
        CohortFilesIncompleteError: no set is complete, and none is being written.
        CohortFilesFutureError: the newest set is dated in the future.
        CohortFilesOlderError: the newest set is older than what was synced last, or may be.
    """
    sets = find_sets(files, wanted.project_id, wanted.cohort_id)
    _refuse_other_projects(files, sets, wanted)
    if not sets:
        raise CohortFilesMissingError(wanted.cohort_id, wanted.place, waited(wanted, now), _others(files))
    for found in reversed(sets):
        _refuse_future(found, wanted, now)
        quiet = now - found.changed_at
        if is_whole(found) and quiet >= SETTLED_SECONDS:
            older = _older_error(found, wanted)
            if older is None:
                return found
            if found is sets[-1]:
                raise older
            # The error names the newest set: it is what the cohort waits for.
            break
        if quiet < GROWING_SECONDS:
            # A whole set needs the rest of its minute; a part of one may become whole at any time.
            seconds = max(1.0, SETTLED_SECONDS - quiet) if is_whole(found) else 0.0
            return StillWritten(found.stamp, seconds, describe_lack(found))
    newest = sets[-1]
    raise CohortFilesIncompleteError(
        wanted.cohort_id, wanted.place, newest.stamp, describe_lack(newest), waited(wanted, now)
    )


def is_whole(found: FileSet) -> bool:
    """Return whether a set has its three files, and these may be of one sync."""
    return not found.missing and found.changed_at - found.written_at < MOST_SPREAD_SECONDS


def describe_lack(found: FileSet) -> str:
    """Return why a set is not complete, in words."""
    if found.missing:
        return f"it lacks {' and '.join(found.missing)}"
    spread = found.changed_at - found.written_at
    if spread >= MOST_SPREAD_SECONDS:
        return f"{duration(spread)} lie between its first and its last file, so they may be of two sets"
    return "its files changed within the last minute"


def find_set(files: Sequence[ListedFile], wanted: Wanted, set_id: str) -> FileSet | None:
    """Return the set of an ID if it is still there, unchanged."""
    sets = find_sets(files, wanted.project_id, wanted.cohort_id)
    return next((found for found in sets if found.set_id == set_id), None)


def _refuse_other_projects(files: Sequence[ListedFile], sets: Sequence[FileSet], wanted: Wanted) -> None:
    projects = sorted({found.project_id for found in sets or find_sets(files, "", wanted.cohort_id)})
    if projects and (not sets or len(projects) > 1):
        raise CohortFilesProjectError(wanted.cohort_id, wanted.place, wanted.project_id, projects)


def _older_error(found: FileSet, wanted: Wanted) -> CohortFilesOlderError | None:
    age = wanted.not_before - found.written_at
    if age > 0:
        return CohortFilesOlderError(wanted.cohort_id, wanted.place, found.stamp, duration(age))
    since = found.written_at - wanted.requested_at
    if since < AFTER_EXPORT_SECONDS:
        return CohortFilesOlderError(wanted.cohort_id, wanted.place, found.stamp, None, after_export=duration(since))
    return None


def _refuse_future(found: FileSet, wanted: Wanted, now: float) -> None:
    hour = stamped_hour(found.stamp)
    is_stamp_ahead = hour is not None and hour - now > _STAMP_TOLERANCE_SECONDS
    ahead = found.changed_at - now
    if is_stamp_ahead or ahead > CLOCK_TOLERANCE_SECONDS:
        seconds = max(ahead, (hour or 0.0) - now)
        raise CohortFilesFutureError(wanted.cohort_id, wanted.place, found.stamp, duration(seconds))


def waited(wanted: Wanted, now: float) -> str | None:
    """Return how long the DAG run has waited, in words; ``None`` where that is not known."""
    if wanted.waiting_since is None or now - wanted.waiting_since < 1:
        return None
    return duration(now - wanted.waiting_since)


def _others(files: Sequence[ListedFile]) -> int:
    names = (parse_name(file.name) for file in files)
    return len({(name.project_id, name.cohort_id) for name in names if name is not None})
