"""A history in which a verifier looks at the ledgers between the syncs, and heals."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from faults.history import History
from faults.verdict import judge_ledger
from faults.verifier import Verifier

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.sandbox import Sandbox


class VerifiedHistory(History):
    """One seed's history, with the same syncs as without a verifier, as far as what it heals allows."""

    def __init__(self, seed: int, sandbox: Sandbox, folder: Path) -> None:
        super().__init__(seed, sandbox, folder)
        self._verifying = random.Random(f"{seed} verify")  # noqa: S311 - as in the history

    def _play_event(self) -> None:
        super()._play_event()
        if self._verifying.random() < 0.35:
            self._verify()

    def _verify(self) -> None:
        """Let a task verify and heal; a run whose export is older than the healing requests another one."""
        verifier = Verifier(self._verifying, self.world, len(self.log))
        verifier.go_on()
        self.log.append(f"  t={self.world.time.seconds % 1_000_000:.3f} {verifier}")
        for what in verifier.survived:
            self._count(what)
        self._allowed_exports += len(self._unfinished)
        if verifier.escaped is not None:
            self.findings.append(("escaped", f"{verifier}: {verifier.escaped!r}"))
        for destination in self.world.keys:
            self.findings += judge_ledger(self.world, destination)
