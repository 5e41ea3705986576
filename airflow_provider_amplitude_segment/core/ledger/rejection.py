"""A rejection of one message, as a journal has it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rejection:
    """A change that Segment, or one of its limits, rejects for good."""

    position: int
    status: int | None
    reason: str = field(repr=False)
