"""An approval of a sync that a guard stopped: kept in the run checkpoint, bound to what the question was about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's *Send anyway* (ADR 0030).

    Attributes:
        export_request_id: the export that the question was about.
        starts: by ledger folder, what the diff of each destination started from, and with which parameters.
        approved_by: the person's user name.
    """

    export_request_id: str
    starts: Mapping[str, str]
    approved_by: str

    def covers(self, export_request_id: str, starts: Mapping[str, str]) -> bool:
        """Return whether the approval holds for these diffs; a destination that was not asked about is not covered.

        >>> approval = Approval("R1", {"a": "commit-7", "b": "commit-3"}, "alice")
        >>> approval.covers("R1", {"a": "commit-7"}), approval.covers("R1", {"a": "commit-8", "b": "commit-3"})
        (True, False)
        >>> approval.covers("R2", {"a": "commit-7"}), approval.covers("R1", {"c": "commit-1"})
        (False, False)
        """
        same = all(self.starts.get(folder) == start for folder, start in starts.items())
        return same and export_request_id == self.export_request_id

    def as_dict(self) -> dict[str, Any]:
        """Return the approval in JSON's types."""
        return {
            "export_request_id": self.export_request_id,
            "starts": dict(self.starts),
            "approved_by": self.approved_by,
        }


def read_approval(entry: Any) -> Approval | None:
    """Return the approval of a run checkpoint's entry; ``None`` where it has none.

    Raises:
        KeyError, TypeError, AttributeError: the entry is no approval.

    >>> read_approval(None) is None, read_approval({"export_request_id": "R1", "starts": {}, "approved_by": "al"})
    (True, Approval(export_request_id='R1', starts={}, approved_by='al'))
    """
    if entry is None:
        return None
    starts = {str(folder): str(start) for folder, start in entry["starts"].items()}
    return Approval(str(entry["export_request_id"]), starts, str(entry["approved_by"]))
