"""The tally: what was survived, and what was found wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

CHECKS = (
    "wrong",
    "differences",
    "sent twice",
    "events",
    "exports",
    "claims",
    "traits",
    "file sets",
    "unproved",
    "false alarms",
    "missed losses",
    "needless",
    "reports",
    "stuck",
    "escaped",
)
"""What a history is held against; the names of its findings."""


@dataclass
class Tally:
    """Counts of one history, or of many."""

    histories: int = 0
    syncs: int = 0
    tries: int = 0
    exports: int = 0
    verifications: int = 0
    healed: int = 0
    file_histories: int = 0
    file_syncs: int = 0
    survived: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.histories += other.histories
        self.syncs += other.syncs
        self.tries += other.tries
        self.exports += other.exports
        self.verifications += other.verifications
        self.healed += other.healed
        self.file_histories += other.file_histories
        self.file_syncs += other.file_syncs
        self.survived += other.survived
        self.findings += other.findings

    def table(self, seconds: float) -> str:
        """Return the counts for a reader."""
        # What journeys received is no fault.
        received = {kind: count for kind, count in self.survived.items() if kind.endswith(" received")}
        faults = self.survived - Counter(received)
        syncs = f"{self.syncs:,} syncs in {self.tries:,} tries"
        lines = [
            f"{self.histories:,} histories, {syncs}, {self.exports:,} exports, {seconds:,.0f} s",
            f"{self.verifications:,} verifications, {self.healed:,} users healed",
            f"{self.file_histories:,} histories with cohort files, {self.file_syncs:,} syncs from them",
            ", ".join(f"{count:,} {kind}" for kind, count in sorted(received.items())),
            "",
            f"survived: {faults.total():,} faults",
            *(f"  {count:>7,}  {kind}" for kind, count in sorted(faults.items())),
            "",
            ", ".join(f"{check} {self.findings[check]:,}" for check in CHECKS),
        ]
        return "\n".join(lines)
