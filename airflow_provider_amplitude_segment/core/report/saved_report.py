"""A report as the ledger keeps it: of one try, at one destination, with the run that made it.

``reports/<claim>.json`` has the whole report of a try. An earlier version wrote it without the facts of its run.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.ledger.object_names import REPORTS, destination_folder, report_claim
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger

log = logging.getLogger(__name__)

COMMITTED = "committed"
DRY_RUN = "dry run"
GUARDED = "stopped by a guard"
FAILED = "failed"
SKIPPED = "skipped"

ASKED, APPROVED, DECLINED, NOT_ANSWERED = "asked a person", "approved", "declined", "not answered"
"""How far a guard's question to a person came; ``ASKED`` also where the task was ended before an answer."""

STOPPED = frozenset({GUARDED, ASKED, DECLINED, NOT_ANSWERED})
"""The outcomes of a try that a guard stopped for good, or until a person answers."""


@dataclass(frozen=True, slots=True)
class SavedReport:
    """One try at one destination.

    Attributes:
        claim: generation of the claim that the try held.
        written_at: ISO 8601; ``None`` where the file does not say it.
        run: for a reader; ``None`` where the file does not say it.
        try_number: of the run; ``None`` where the file does not say it.
        members: distinct user IDs of the export; ``None`` before it was read.
        is_dry_run: whether nothing was sent on purpose.
        is_guard: whether a guard ended the try.
        question: how far the guard's question came, as ``outcome`` has it; ``None`` where no person was asked.
        answered_by: who answered it, by user name; ``None`` for none.
        destination: the fields of the ``DestinationReport``.
    """

    claim: int
    written_at: str | None
    run: str | None
    try_number: int | None
    members: int | None
    is_dry_run: bool
    is_guard: bool
    question: str | None = None
    answered_by: str | None = None
    destination: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """How the try ended at this destination, in words."""
        if self.is_dry_run:
            return DRY_RUN
        if self.destination.get("committed"):
            return COMMITTED
        if self.question is not None:
            return self.question
        if self.destination.get("error"):
            return GUARDED if self.is_guard else FAILED
        return SKIPPED

    @property
    def error(self) -> str | None:
        """What ended the try at this destination, for a reader."""
        error = self.destination.get("error")
        return None if error is None else str(error)


def read_saved_reports(ledger: Ledger, limit: int) -> list[SavedReport]:
    """Return the newest ``limit`` reports of a ledger, the oldest first; one that cannot be read is a warning.

    Raises:
        StatePathError: the reports cannot be listed.
    """
    claims = sorted(claim for name in ledger.names_beside(REPORTS) if (claim := report_claim(name)) is not None)
    found = []
    for claim in claims[-limit:]:
        try:
            saved = saved_report(ledger.folder, claim, ledger.report(claim))
        except LedgerError as error:
            log.warning("A report was passed over: %s", error.happened)
            continue
        if saved is not None:
            found.append(saved)
    return found


def saved_report(folder: str, claim: int, content: Mapping[str, Any]) -> SavedReport | None:
    """Return the part of a report file that is about one ledger; ``None`` where it has none.

    Args:
        folder: the ledger's.
        claim: in the file's name.
        content: of the file.

    >>> parts = [{"destination": "dst-a"}, {"destination": "dst-b", "error": "half"}]
    >>> report = saved_report("1/c1/dst-b", 4, {"destinations": parts, "guard": True})
    >>> report.claim, report.error, report.outcome
    (4, 'half', 'stopped by a guard')
    >>> saved_report("1/c1/dst-c", 4, {"destinations": parts}) is None
    True
    """
    name = folder.rpartition("/")[2]
    parts = content.get("destinations")
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and destination_folder(str(part.get("destination"))) == name:
            return SavedReport(
                claim,
                written_at=_text(content.get("written_at")),
                run=_text(content.get("run")),
                try_number=_number(content.get("try")),
                members=_number(content.get("members")),
                is_dry_run=content.get("dry_run") is True,
                is_guard=content.get("guard") is True,
                question=_text(content.get("question")),
                answered_by=_text(content.get("answered_by")),
                destination=part,
            )
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
