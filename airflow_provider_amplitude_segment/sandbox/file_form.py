"""The form of a cohort file: its name, and the bytes of its rows."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DiffType = Literal["entering", "exiting", "existing"]

Row = tuple[str, int]
"""A user ID, and the number of the row among those of this user ID: each has an Amplitude ID of its own."""

_FIRST_AMPLITUDE_ID = 356_896_327_775


@dataclass(frozen=True, slots=True)
class FileForm:
    """How Amplitude's destination names and writes files: what its documents say two ways, or leave open.

    Raises:
        ValueError: ``columns`` has no column of ``userID`` or ``user_id``.
    """

    # amplitude-docs amazon-s3-cohort.md, "Cohorts in S3": the convention has HH:SS, the legend HH-SS.
    stamp_format: str = "%Y-%m-%dT%H:%S"
    """Of ``strftime``, in UTC. Amplitude's own two forms have no minutes, so sets of one hour may share a name."""
    columns: tuple[str, ...] = ("amplitudeID", "userID")
    """Names and order of the columns before the properties. A column of another name than the two is a number."""
    property_keys: tuple[str, ...] = ()
    """User properties, each of which adds a column."""
    source_apps: tuple[str, ...] = ()
    """Of a portfolio project: each property has a column for each of these apps."""
    gzip: bool = False
    """Whether the bytes are compressed; the name ends with ``.csv`` all the same, as no document has another."""
    quoted: bool = True
    """Whether each field is in double quotes, or only one that needs them."""
    line_end: str = "\n"

    def __post_init__(self) -> None:
        """Raise for files that have no user."""
        if not any(_is_user_id(column) for column in self.columns):
            raise ValueError(f"FileForm(columns={self.columns!r}): one must be the user ID")

    def stamp(self, at: float) -> str:
        """Return the part of the name that says when, for epoch seconds.

        >>> FileForm().stamp(0), FileForm("%Y-%m-%dT%H-%M-%S").stamp(61)
        ('1970-01-01T00:00', '1970-01-01T00-01-01')
        """
        return datetime.fromtimestamp(at, UTC).strftime(self.stamp_format)

    def content(self, rows: Iterable[Row], properties: Mapping[str, Mapping[str, str]]) -> bytes:
        """Return the file of these rows; ``properties`` are values by user ID, then by name.

        A user without an entry has an invented value of each property, as in an export of the API.
        """
        lines = "".join(self._line(fields) for fields in self._lines(rows, properties))
        # A compressed file has no time of its own, so that the same rows are the same bytes.
        return gzip.compress(lines.encode(), compresslevel=1, mtime=0) if self.gzip else lines.encode()

    def _lines(self, rows: Iterable[Row], properties: Mapping[str, Mapping[str, str]]) -> Iterator[list[str]]:
        yield [*self.columns, *self._property_columns()]
        copies = len(self.source_apps) or 1
        invented = {name: f"value {number}" for number, name in enumerate(self.property_keys, start=1)}
        for user_id, copy in rows:
            values = properties.get(user_id, invented)
            number = str(_amplitude_id(user_id, copy))
            fields = [user_id if _is_user_id(column) else number for column in self.columns]
            yield fields + [values.get(name, "") for name in self.property_keys for _ in range(copies)]

    def _property_columns(self) -> list[str]:
        if not self.source_apps:
            return list(self.property_keys)
        return [f"{name} ({app})" for name in self.property_keys for app in self.source_apps]

    def _line(self, fields: list[str]) -> str:
        return ",".join(self._field(text) for text in fields) + self.line_end

    def _field(self, text: str) -> str:
        needed = any(mark in text for mark in ',"\r\n') or text != text.strip()
        return '"' + text.replace('"', '""') + '"' if self.quoted or needed else text


def file_name(project_id: int, cohort_id: str, stamp: str, difftype: DiffType, routing_key: str = "") -> str:
    """Return the name of a file.

    >>> file_name(187520, "26umsb5", "2026-11-25T06:12", "existing", "eu")
    '187520_26umsb5_2026-11-25T06:12_existing_eu.csv'
    """
    # amazon-s3-cohort.md: path/integer_cohortID_YYYY-MM-DDTHH:SS_difftype_routingkey.csv
    suffix = f"_{routing_key}" if routing_key else ""
    return f"{project_id}_{cohort_id}_{stamp}_{difftype}{suffix}.csv"


def _is_user_id(column: str) -> bool:
    return column.replace("_", "").replace(" ", "").lower() == "userid"


def _amplitude_id(user_id: str, copy: int) -> int:
    """Return a number that a row keeps from one set to the next."""
    digest = blake2b(f"{user_id}\0{copy}".encode("utf-8", "surrogatepass"), digest_size=5).digest()
    return _FIRST_AMPLITUDE_ID + int.from_bytes(digest)
