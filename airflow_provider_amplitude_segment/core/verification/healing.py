"""Heal: set mismatched users in doubt by a corrective commit, so that the next sync sends them again.

The commit is written under a claim, so no sync runs meanwhile. It is the state that was verified, with the pairs in
doubt, and is written only while that state is still the newest. A kill before the commit leaves the ledger as it was;
after it, all is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.database import one_row, widen
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName
from airflow_provider_amplitude_segment.core.maintenance.rollback import write_corrective_commit
from airflow_provider_amplitude_segment.core.verification.committed_state import raise_if_newer

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
    from airflow_provider_amplitude_segment.core.verification.committed_state import CommittedState

MISMATCHED = "mismatched"
"""The engine's table of the pairs to heal: ``trait``, ``user_id`` and columns for people."""


def heal(engine: duckdb.DuckDBPyConnection, state: CommittedState, snapshot: Path, ports: MaintenancePorts) -> int:
    """Set the pairs of the table ``mismatched`` in doubt; return their number.

    Args:
        engine: has that table.
        state: what was verified.
        snapshot: its file on the worker's disk.
        ports: the store, the run, the clock and a scratch folder.

    Raises:
        ClaimHeldError: a sync is running; nothing was changed.
        NewerSyncError: the newest entry is not the commit that was verified; nothing was changed.
        ClaimLostError: another run took over; nothing was changed.
    """
    stream, ledger = state.stream, state.ledger
    with HeldClaims(ports.store, [stream], ports.run, ports.clock) as held_claims:
        # Read again now that no sync can write.
        raise_if_newer(state)
        generation = held_claims.generation(stream)
        healed, names = ports.scratch / "healed.parquet", user_properties.names_in(engine, snapshot)
        if names:
            widen(engine)
        engine.execute(
            write_parquet(
                f"""SELECT state.* REPLACE (state.in_doubt OR found.user_id IS NOT NULL AS in_doubt)
                    FROM {parquet_rows(snapshot)} state
                    LEFT JOIN (SELECT DISTINCT trait, user_id FROM {MISMATCHED}) found
                    ON state.trait = found.trait AND state.user_id = found.user_id""",
                healed,
                group_rows=user_properties.group_rows(names),
            )
        )
        stored = ledger.store_file(str(ObjectName("snapshot", generation, generation)), healed)
        held_claims.verify(stream)
        write_corrective_commit(ledger, state.commit, stored, ports, generation)
    return int(one_row(engine, f"SELECT count(*) FROM {MISMATCHED}")[0])
