"""The ports of a rollback and an erasure: what they use outside of core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store


@dataclass(frozen=True, slots=True)
class MaintenancePorts:
    """What the maintenance of one ledger uses.

    Attributes:
        store: where the ledger is.
        run: the owner of the claim.
        clock: this machine's.
        scratch: an empty folder on this machine.
    """

    store: Store
    run: Run
    clock: Clock
    scratch: Path
