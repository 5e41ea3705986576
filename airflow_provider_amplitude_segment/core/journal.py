"""The journal: how far a plan was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that Segment, or a limit of Segment's, refused for good."""

    position: int
    status: int | None
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a plan was told.

    Attributes:
        acked: positions that Segment acknowledged.
        refused: by position.
    """

    acked: Ranges = field(default_factory=Ranges)
    refused: Mapping[int, Refusal] = field(default_factory=dict)

    def pending(self, planned: int) -> Ranges:
        """Return the positions of a plan of ``planned`` changes that are neither acknowledged nor refused."""
        everything = Ranges.of([(0, planned - 1)] if planned else [])
        return everything.without(self.acked.union(Ranges.of_positions(self.refused)))

    def union(self, other: Journal) -> Journal:
        """Return what either knows; what one says is acknowledged, no refusal of the other undoes."""
        acked = self.acked.union(other.acked)
        refused = {**self.refused, **other.refused}
        truly = Ranges.of_positions(refused).without(acked)
        kept = {p: refused[p] for first, last in truly.pairs for p in range(first, last + 1)}
        return Journal(acked, kept)
