"""The names of the files that Amplitude's destination "Amazon S3 (Cohorts)" writes, and the sets that they form.

A set is the three files of one sync: *existing*, *entering* and *exiting*, each with one stamp. Amplitude documents the
name twice, and both times without minutes: ``path/projectID_cohortID_YYYY-MM-DDTHH:SS_difftype_routingkey.csv``, and
``YYYY-MM-DDTHH-SS`` (https://amplitude.com/docs/data/destination-catalog/amazon-s3-cohort). So of a stamp only the
date and the hour count; within an hour, the time at which the files were written decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, get_args

from airflow_provider_amplitude_segment.core.ledger.stream import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FileKind = Literal["existing", "entering", "exiting"]
KINDS: tuple[FileKind, ...] = get_args(FileKind)

_NAME = re.compile(
    r"(?P<project>[^_/]*)_(?P<cohort>[^_/]+)_(?P<stamp>[^/]*?\d[^/]*?)_(?P<kind>existing|entering|exiting)"
    r"(?:_(?P<routing_key>[^/]*))?\.csv(?:\.gz)?",
    re.IGNORECASE,
)
_DATE_AND_HOUR = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)[T_ -]?(\d\d)(?!\d{3,}$)")


_SET_ID_PREFIX = "files-"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of the folder, as its listing shows it.

    Attributes:
        name: without the folder.
        size: in bytes.
        written_at: when it was last written, by the store's clock, in seconds since 1970.
        version: differs when the content differs: the store's ETag, or the time to the nanosecond.
    """

    name: str
    size: int
    written_at: float
    version: str


@dataclass(frozen=True, slots=True)
class CohortFileName:
    """The parts of a file's name.

    Attributes:
        project_id: the Amplitude project's number.
        cohort_id: Amplitude's cohort ID.
        stamp: the time of the sync, as written.
        kind: which of the three files.
        routing_key: of the sync in Amplitude; empty for none.
    """

    project_id: str
    cohort_id: str
    stamp: str
    kind: FileKind
    routing_key: str = ""


def parse_name(name: str) -> CohortFileName | None:
    """Return the parts of a file's name; ``None`` for a file that is no cohort file.

    >>> parse_name("187520_26umsb5_2026-11-23T05:12_entering_braze.csv")  # doctest: +NORMALIZE_WHITESPACE
    CohortFileName(project_id='187520', cohort_id='26umsb5', stamp='2026-11-23T05:12', kind='entering',
        routing_key='braze')
    >>> parse_name("187520_26umsb5_20261123T051200Z_Existing.csv.gz").kind, parse_name("notes.csv")
    ('existing', None)
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind = next(kind for kind in KINDS if kind == found["kind"].lower())
    return CohortFileName(found["project"], found["cohort"], found["stamp"], kind, found["routing_key"] or "")


def stamped_hour(stamp: str) -> float | None:
    """Return the date and the hour of a stamp, as seconds since 1970 if it is UTC; ``None`` where it has none.

    Amplitude does not document its time zone.

    >>> forms = ["2026-11-23T05:12", "2026-11-23T05-12", "2026-11-23T05:59:12.123Z", "20261123T0512", "2026-11-23 05"]
    >>> {stamped_hour(stamp) for stamp in forms}
    {1795410000.0}
    >>> stamped_hour("1795410000"), stamped_hour("2026-13-40T99:12")
    (None, None)
    """
    found = _DATE_AND_HOUR.match(stamp)
    if found is None:
        return None
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class FileSet:
    """The files of one sync of Amplitude's, complete or not.

    Attributes:
        project_id: in the names.
        stamp: in the names.
        routing_key: in the names.
        files: by kind.
    """

    project_id: str
    stamp: str
    routing_key: str
    files: Mapping[FileKind, ListedFile]

    @property
    def missing(self) -> tuple[FileKind, ...]:
        """The files that are not there."""
        return tuple(kind for kind in KINDS if kind not in self.files)

    @property
    def written_at(self) -> float:
        """When its first file was written: the cohort was computed before."""
        return min(file.written_at for file in self.files.values())

    @property
    def changed_at(self) -> float:
        """When its last file was written."""
        return max(file.written_at for file in self.files.values())

    @property
    def set_id(self) -> str:
        """What identifies it and its content: names, sizes and versions.

        It has the form of an export's request ID, because checkpoint, plan and commit name what they deliver by it.
        """
        return f"{_SET_ID_PREFIX}{fingerprint(sorted([f.name, f.size, f.version] for f in self.files.values()))}"

    @property
    def order(self) -> tuple[float, float, str]:
        """What orders sets: the stamp's hour, then when they were written.

        The hour comes first, because a copy of an old set has a new time.
        """
        hour = stamped_hour(self.stamp)
        return (self.written_at // 3600 * 3600 if hour is None else hour, self.written_at, self.stamp)


def is_set_id(export_request_id: str) -> bool:
    """Return whether what stands for an export is a set of cohort files."""
    return export_request_id.startswith(_SET_ID_PREFIX)


def find_sets(files: Iterable[ListedFile], project_id: str, cohort_id: str) -> list[FileSet]:
    """Return a cohort's sets, the oldest first.

    Args:
        files: of the folder.
        project_id: whose files; empty for those of any project, where Amplitude does not list the cohort's.
        cohort_id: whose files.
    """
    found: dict[tuple[str, str, str], dict[FileKind, ListedFile]] = {}
    for file in files:
        name = parse_name(file.name)
        if name is None or name.cohort_id != cohort_id or project_id not in {"", name.project_id}:
            continue
        kinds = found.setdefault((name.project_id, name.stamp, name.routing_key), {})
        # The same file with and without gzip: the newer one is the set's.
        if name.kind not in kinds or kinds[name.kind].written_at < file.written_at:
            kinds[name.kind] = file
    return sorted((FileSet(*key, kinds) for key, kinds in found.items()), key=lambda found: found.order)


def name_prefix(project_id: str, cohort_id: str) -> str:
    """Return how the names of a cohort's files begin; empty where the project is unknown."""
    return f"{project_id}_{cohort_id}_" if project_id else ""
