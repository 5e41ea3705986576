"""A cohort of the stand-in Amplitude, and the file it is exported as."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

APP_ID = 187520
_FIRST_AMPLITUDE_ID = 356_896_327_775
"""Amplitude IDs are numbers past 2^31; this one is from Amplitude's own sample answer."""


@dataclass(slots=True)
class SandboxCohort:
    """A cohort that a test or the page can change at any time; an export keeps what it was requested with."""

    cohort_id: str
    name: str
    user_ids: list[str] = field(default_factory=list)
    """The members who have a user ID. Replace the list or change it in place."""
    anonymous: int = 0
    """Members without a user ID: rows of the export whose user ID is the empty string."""
    duplicates: int = 0
    """Rows that repeat a user ID under another Amplitude ID, as merged users do."""
    archived: bool = False
    discoverable: bool = True
    """Whether the list shows it. One that is not can be exported by its ID (Amplitude documents neither)."""
    group_type: str = "User"
    """``definition.countGroup.name``; any other than ``User`` exports groups instead of users."""
    listed_size: int | Literal["computed"] | None = "computed"
    """The ``size`` in the list: a stale number, ``None`` for never computed, or the true number of rows."""
    last_computed: float | Literal["computed"] | None = "computed"
    """``lastComputed`` in the list, epoch seconds; ``computed`` is the moment of listing."""
    ready_after_polls: int = 1
    """How often the status of an export answers 202 before it answers 200."""
    delivery: Literal["inline", "storage"] = "inline"
    """Whether the file comes in the answer, or through a link that lives one minute."""
    gzip: bool = False
    """Whether the file is sent with ``Content-Encoding: gzip``."""
    raw_file: bytes | None = None
    """Send exactly these bytes as the file; with ``gzip`` they must be compressed already."""
    description: str | None = None
    properties: dict[str, dict[str, str]] = field(default_factory=dict)
    """User properties by user ID, then by name: what ``props=1`` adds to a user's row, "" where there is none. A user
    who is not in it has an invented value of each."""
    owners: list[str] = field(default_factory=lambda: ["lifecycle@example.com"])
    """E-mail addresses, mostly."""

    @property
    def rows(self) -> int:
        """Rows of an export requested now; what Amplitude counts as the cohort's size."""
        return len(self.user_ids) + self.anonymous + self.duplicates

    def as_listed(self, now: float) -> dict[str, Any]:
        """The cohort object of ``GET /api/3/cohorts``, with the fields the live API shows."""
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
    """A cohort's members as they were when an export was requested."""

    user_ids: tuple[str, ...]
    anonymous: int
    duplicates: int
    group_type: str
    raw_file: bytes | None
    gzip: bool
    properties: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, cohort: SandboxCohort, earlier: Membership | None) -> Membership:
        """Take the membership down; users unchanged since ``earlier`` share its tuple, not a copy."""
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
        """The file, compressed where the cohort says so.

        UTF-8, LF, every field in double quotes. Anonymous rows come first, then the members, then the
        rows that repeat a member. Each of ``property_keys`` adds a column.
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
