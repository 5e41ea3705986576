"""An approval of a sync that a guard stopped: kept in the run checkpoint, bound to what the question was about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.stream import Run


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's *Send anyway* (ADR 0030).

    Attributes:
        export_request_id: the export that the question was about.
        starts: by ledger folder, what the diff of each destination started from, and with which parameters.
        approved_by: the person's user name.
        clear_number, max_tries: of the run when the person answered. Clearing the task changes them, and a retry does
            not, also after a kill.
    """

    export_request_id: str
    starts: Mapping[str, str]
    approved_by: str
    clear_number: int = 0
    max_tries: int = 0

    def is_from_before_clearing(self, run: Run) -> bool:
        """Return whether the task was cleared after the answer: who clears it may have thought better of it.

        >>> from airflow_provider_amplitude_segment.core.ledger.stream import Run
        >>> approval = Approval("R1", {}, "alice", clear_number=0, max_tries=3)
        >>> runs = [Run("", "r", 2, max_tries=3), Run("", "r", 2, clear_number=1, max_tries=4)]
        >>> [approval.is_from_before_clearing(run) for run in runs]
        [False, True]
        """
        return (self.clear_number, self.max_tries) != (run.clear_number, run.max_tries)

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
            "clear_number": self.clear_number,
            "max_tries": self.max_tries,
        }


def read_approval(entry: Any) -> Approval | None:
    """Return the approval of a run checkpoint's entry; ``None`` where it has none.

    Raises:
        KeyError, TypeError, AttributeError: the entry is no approval.

    >>> approval = Approval("R1", {"a": "commit-7"}, "alice", 1, 4)
    >>> read_approval(None) is None, read_approval(approval.as_dict()) == approval
    (True, True)
    >>> read_approval({"export_request_id": "R1", "starts": {}, "approved_by": "alice"}).max_tries
    -1
    """
    if entry is None:
        return None
    starts = {str(folder): str(start) for folder, start in entry["starts"].items()}
    # An earlier version wrote none: then the approval counts as one from before a clearing.
    numbers = int(entry.get("clear_number", -1)), int(entry.get("max_tries", -1))
    return Approval(str(entry["export_request_id"]), starts, str(entry["approved_by"]), *numbers)
