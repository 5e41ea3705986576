"""The book of exports: who requested which, and which were overtaken before they were told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

_FILE_SECONDS = 7 * 24 * 3600 - 3600


@dataclass
class ExportBook:
    """Kept beside the package's own records, from what went over the wire and into the store.

    Attributes:
        renewed: requests by a run whose earlier export was overtaken or too old by then, so that it had to spend anew.
    """

    renewed: int = 0
    _requested: dict[str, tuple[str, float, int]] = field(default_factory=dict)
    _planned: list[str] = field(default_factory=list)

    def note_request(self, run_key: str, answer: bytes, now: float) -> None:
        """Note that a run was given an export; its earlier one may have been overtaken by a plan of another."""
        earlier = self._requested.get(run_key)
        if earlier is not None:
            request_id, requested_at, planned = earlier
            overtaken = any(told != request_id for told in self._planned[planned:])
            self.renewed += overtaken or now - requested_at > _FILE_SECONDS
        self._requested[run_key] = (json.loads(answer)["request_id"], now, len(self._planned))

    def note_plan(self, entry: bytes) -> None:
        self._planned.append(json.loads(entry)["export_request_id"])

    def forget(self, run_key: str) -> None:
        """Note that the run has ended: its next sync begins with an export of its own."""
        self._requested.pop(run_key, None)
