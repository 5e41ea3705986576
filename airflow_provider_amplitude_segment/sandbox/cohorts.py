"""A cohort of the stand-in Amplitude, and its export file."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APP_ID = 187520
_FIRST_AMPLITUDE_ID = 356_896_327_775
"""Amplitude IDs are numbers above 2^31; this one is from Amplitude's own sample response."""


@dataclass(slots=True)
class SandboxCohort:
    """A cohort that a test or the page can change at any time; an export keeps the members of its request."""

    cohort_id: str
    name: str
    user_ids: list[str] = field(default_factory=list)
    """The members with a user ID. Replace the list or change it in place."""
    anonymous: int = 0
    """Members without a user ID: rows of the export with an empty user ID."""
    duplicates: int = 0
    """Rows that repeat a user ID under another Amplitude ID, as for merged users."""
    archived: bool = False
    discoverable: bool = True
    """Whether the list has it. Other cohorts can be exported by their IDs (Amplitude documents neither)."""
    group_type: str = "User"
    """``definition.countGroup.name``; any value but ``User`` exports groups instead of users."""
    listed_size: int | Literal["computed"] | None = "computed"
    """The ``size`` in the list: a stale number, ``None`` for never computed, or the true number of rows."""
    last_computed: float | Literal["computed"] | None = "computed"
    """``lastComputed`` in the list, epoch seconds; ``computed`` is the moment of listing."""
    ready_after_polls: int = 1
    """How often a poll of an export returns 202 before 200."""
    delivery: Literal["inline", "storage"] = "inline"
    """Whether the file is in the response, or behind a link that is valid for one minute."""
    gzip: bool = False
    """Whether the file is sent with ``Content-Encoding: gzip``."""
    raw_file: bytes | None = None
    """Send exactly these bytes as the file; with ``gzip`` they must be compressed already."""
    description: str | None = None
    properties: dict[str, dict[str, str]] = field(default_factory=dict)
    """User properties by user ID, then by name, which ``props=1`` adds to a user's row; a missing one is "". A user who
    is not in it has an invented value of each property."""
    owners: list[str] = field(default_factory=lambda: ["lifecycle@example.com"])
    """E-mail addresses, mostly."""

    @property
    def rows(self) -> int:
        """Rows of an export requested now; Amplitude shows this number as the cohort's size."""
        return len(self.user_ids) + self.anonymous + self.duplicates

    def as_listed(self, now: float) -> dict[str, Any]:
        """The cohort object of ``GET /api/3/cohorts``, with the fields of the live API."""
        # amplitude-docs behavioral-cohorts.md, "Cohort object"; nullable fields as recorded in 2026-06.
        computed = int(now) if self.last_computed == "computed" else self.last_computed
        return {
            "appId": APP_ID,
            "archived": self.archived,
            "chart_id": None,
            "createdAt": 1679440233,
            "definition": {"version": 3, "countGroup": {"name": self.group_type, "is_computed": False}},
            "description": self.description,
            "edit_id": None,
            "finished": False,
            "hidden": False,
            "id": self.cohort_id,
            "is_official_content": False,
            "is_predictive": False,
            "lastComputed": computed,
            "lastMod": 1679440233,
            "last_viewed": None,
            "location_id": None,
            "metadata": [],
            "name": self.name,
            "owners": list(self.owners),
            "popularity": 0,
            "published": self.discoverable,
            "shortcut_ids": [],
            "size": self.rows if self.listed_size == "computed" else self.listed_size,
            "type": "redshift",
            "view_count": 0,
            "viewers": [],
        }


@dataclass(frozen=True, slots=True)
class Membership:
    """A cohort's members at the time of an export's request."""

    user_ids: tuple[str, ...]
    anonymous: int
    duplicates: int
    group_type: str
    raw_file: bytes | None
    gzip: bool
    properties: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, cohort: SandboxCohort, earlier: Membership | None) -> Membership:
        """Copy a cohort's members, or share the tuple of ``earlier`` where the users are the same."""
        user_ids = tuple(cohort.user_ids)
        if earlier is not None and earlier.user_ids == user_ids:
            user_ids = earlier.user_ids
        return cls(
            user_ids,
            cohort.anonymous,
            cohort.duplicates,
            cohort.group_type,
            cohort.raw_file,
            cohort.gzip,
            {user_id: dict(values) for user_id, values in cohort.properties.items()},
        )

    def file(self, property_keys: Sequence[str] = ()) -> bytes:
        """Return the file, compressed if the cohort has ``gzip``.

        UTF-8, LF, every field in double quotes. Anonymous rows come first, then the members, then the rows that repeat
        a member. Each of ``property_keys`` adds a column.
        """
        if self.raw_file is not None:
            return self.raw_file
        lines = "\n".join(self._groups() if self.group_type != "User" else self._users(property_keys)) + "\n"
        return gzip.compress(lines.encode(), compresslevel=1) if self.gzip else lines.encode()

    def _groups(self) -> Iterator[str]:
        # "CSV returned from API has all strings prefixed with a tab character": Amplitude's
        # experiment-jvm-server, CohortApi.kt, for cohorts of groups.
        yield '"\tgroup_value"'
        for group in self.user_ids:
            yield '"\t' + group.replace('"', '""') + '"'

    def _users(self, property_keys: Sequence[str]) -> Iterator[str]:
        # Amplitude's Postman collection, "Cohort download": "amplitude_id","user_id", anonymous users as "".
        yield _quoted("amplitude_id", "user_id", *property_keys)
        invented = {name: f"value {number}" for number, name in enumerate(property_keys, start=1)}
        for number, user_id in enumerate(self._rows(), start=_FIRST_AMPLITUDE_ID):
            values = self.properties.get(user_id, invented)
            yield _quoted(str(number), user_id, *(values.get(name, "") for name in property_keys))

    def _rows(self) -> Iterator[str]:
        yield from ("" for _ in range(self.anonymous))
        yield from self.user_ids
        for number in range(self.duplicates if self.user_ids else 0):
            yield self.user_ids[number % len(self.user_ids)]


def _quoted(*fields: str) -> str:
    return ",".join('"' + text.replace('"', '""') + '"' for text in fields)
