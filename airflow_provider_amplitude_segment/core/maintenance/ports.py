"""The ports of maintenance: what a rollback and an erasure meet outside of core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store


@dataclass(frozen=True, slots=True)
class MaintenancePorts:
    """What maintenance of one ledger meets.

    Attributes:
        store: where the ledger is.
        run: who does it, for the claim.
        clock: time.
        scratch: an empty folder on this machine.
    """

    store: Store
    run: Run
    clock: Clock
    scratch: Path
