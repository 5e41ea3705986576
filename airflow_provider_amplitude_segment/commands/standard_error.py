"""What the commands print on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver
    from airflow_provider_amplitude_segment.core.ledger.stream import Store


def print_passed_over(passed: PassedOver) -> None:
    """Print a folder that cannot be read."""
    print(passed, file=sys.stderr)


def no_ledger(store: Store) -> int:
    """Say that the state path has no ledger; return the exit status."""
    print(f"There is no ledger in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
    return 1
