"""How a sync can end without an error and without a report of what was told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExportIncomplete:
    """The export was requested and is not complete; the claims outlast the wait, and nothing runs any more."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The sync was left out on purpose; nothing was sent and nothing committed."""

    reason: str
