"""The book of exports: who requested which, and which were overtaken before they were told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.process import Process

_FILE_SECONDS = 7 * 24 * 3600 - 3600


@dataclass(frozen=True, slots=True)
class _Request:
    request_id: str
    at: float
    claims: dict[str, int]
    """By destination, the claim that the run held."""


@dataclass
class ExportBook:
    """Kept beside the package's own records, from what went over the wire and into the store.

    Attributes:
        renewed: requests by a run whose earlier export was overtaken or too old by then, so that it had to spend anew.
        misdated: exports that a worker with a wrong clock requested, and so dated in the ledger.
    """

    renewed: int = 0
    misdated: set[str] = field(default_factory=set)
    _requested: dict[str, _Request] = field(default_factory=dict)
    _planned: list[tuple[str, int, str]] = field(default_factory=list)

    def note_request(self, process: Process, answer: bytes, now: float) -> None:
        """Note that a run was given an export; under a newer claim than its earlier one, another may have been told.

        To a worker whose clock is ahead by days, each earlier export is too old.
        """
        run_key, claims = process.run_key, process.claims
        earlier = self._requested.get(run_key)
        if earlier is not None:
            overtaken = self.is_overtaken(earlier.request_id, earlier.claims)
            self.renewed += overtaken or now + process.ahead - earlier.at > _FILE_SECONDS
        request_id = json.loads(answer)["request_id"]
        if process.ahead:
            self.misdated.add(request_id)
        self._requested[run_key] = _Request(request_id, now, dict(claims))

    def is_overtaken(self, request_id: str, claims: dict[str, int]) -> bool:
        """Return whether another export, or a set of files, was planned under a newer claim than these."""
        return any(
            other != request_id and generation > claims.get(place, 0) for place, generation, other in self._planned
        )

    def note_plan(self, place: str, entry: bytes) -> None:
        plan = json.loads(entry)
        self._planned.append((place, plan["generation"], plan["export_request_id"]))

    def note_commit(self, place: str, entry: bytes) -> None:
        """Note a commit without an export: a healing, after which a run may not deliver what it requested before."""
        if not json.loads(entry)["export_request_id"]:
            self.note_plan(place, entry)

    def forget(self, run_key: str) -> None:
        """Note that the run has ended: its next sync begins with an export of its own."""
        self._requested.pop(run_key, None)
