"""Mark in a ledger which changes have an event, which events were sent, and which are owed (ADR 0035).

    changes   event_number   the event's position among the events of its plan, from 0; NULL for a change without one
    acked-n-c.json  events   started: ranges written before their events are sent; acked; rejected
    state     event_owed     an event that a later plan sends: true for an entry, false for an exit, NULL for none
              event_spent    the value that has no event though it is in doubt: its event may have been sent, or a plan
                             wanted it without an event; NULL for none

Only plans with ``events`` have any of these, so that a ledger without events has the bytes that it always had.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_columns, parquet_rows
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

NUMBER = "event_number"
"""The column of a plan's changes."""

OWED = "event_owed"
"""The column of a state with the event that a later plan sends."""

SPENT = "event_spent"
"""The column of a state with the value that has no event any more."""


@dataclass(frozen=True, slots=True)
class EventTerms:
    """What the events of a plan are called, and whether one in doubt is sent again.

    Attributes:
        cohort_name: as Amplitude lists it.
        entered: name of the event of an entry.
        exited: name of the event of an exit.
        is_at_least_once: send an event in doubt again, under another message ID.
        is_first_sync: when the plan was made, no sync had ended since the ledger began or since a retirement; ``None``
            in a plan of an earlier version, which did not remember it.
    """

    cohort_name: str
    entered: str
    exited: str
    is_at_least_once: bool = False
    is_first_sync: bool | None = None


@dataclass(frozen=True, slots=True)
class EventJournal:
    """How far the events of a plan are delivered, by their numbers.

    Attributes:
        started: written before they are sent; those that are neither acknowledged nor rejected are in doubt. Empty in a
            plan that delivers at least once.
        acked: events that Segment acknowledged.
        rejected: the rejections; ``Rejection.position`` is the event's number.
    """

    started: Ranges = field(default_factory=Ranges)
    acked: Ranges = field(default_factory=Ranges)
    rejected: Mapping[int, Rejection] = field(default_factory=dict)

    def union(self, other: EventJournal) -> EventJournal:
        """Return what is in either; an acknowledged event stays so, also where the other rejects it."""
        acked = self.acked.union(other.acked)
        rejected = {**self.rejected, **other.rejected}
        left = Ranges.of_positions(rejected).without(acked)
        kept = {number: rejected[number] for first, last in left.pairs for number in range(first, last + 1)}
        return EventJournal(self.started.union(other.started), acked, kept)

    @property
    def settled(self) -> Ranges:
        """The events that Segment acknowledged or rejected."""
        return self.acked.union(Ranges.of_positions(self.rejected))

    @property
    def in_doubt(self) -> Ranges:
        """The events that may have been sent, and are not settled."""
        return self.started.without(self.settled)

    @property
    def not_owed(self) -> Ranges:
        """The events that no later plan sends."""
        return self.started.union(self.acked)

    def as_entry(self) -> dict[str, Any]:
        """Return the journal in JSON's types."""
        rejected = [[r.position, r.status, r.reason] for r in self.rejected.values()]
        return {"started": self.started.pairs, "acked": self.acked.pairs, "rejected": rejected}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> EventJournal:
        """Read what ``as_entry`` returned.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it has another form.

        >>> EventJournal.from_entry({"started": [[0, 9]], "acked": [[0, 3]], "rejected": [[5, 400, "no"]]}).in_doubt
        Ranges(pairs=((4, 4), (6, 9)))
        """
        started, acked = (
            Ranges.of((int(first), int(last)) for first, last in entry[name]) for name in ("started", "acked")
        )
        rejected = {int(n): Rejection(int(n), status, reason) for n, status, reason in entry["rejected"]}
        Ranges.of_positions(rejected)  # raises where one is no position
        return cls(started, acked, rejected)


def has_column(engine: duckdb.DuckDBPyConnection, file: Path | None, column: str) -> bool:
    """Return whether a file of the ledger has one of the columns."""
    if file is None:
        return False
    found = engine.execute(f"SELECT count(*) FROM {parquet_columns(file)} WHERE name = $1", [column]).fetchone()
    return bool(found and found[0])


def numbered_events(changes: Path) -> str:
    """Return the query of a plan's events in the order of their numbers: ``user_id, value``."""
    return f"SELECT user_id, value FROM {parquet_rows(changes)} WHERE {NUMBER} IS NOT NULL ORDER BY {NUMBER}"
