"""The end of a retirement: who was told ``false`` for certain is forgotten, and so is everything that named them.

What stays of the ledger are its last commit, with nobody in its state but who is in doubt, the highest claim, the hint,
and the reports, which hold counts. So generations and timestamps go on above all that was told, and a later sync of the
cohort is a first one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.claim import newest_generation
from airflow_provider_amplitude_segment.core.engine import one_row
from airflow_provider_amplitude_segment.core.engine_file import write_parquet
from airflow_provider_amplitude_segment.core.object_names import (
    FOR_PEOPLE,
    REJECTED,
    ObjectName,
    is_beside,
    is_unfinished_beside,
    parse_object,
    rejected_generation,
)
from airflow_provider_amplitude_segment.core.pruning import delete_objects, unfinished_before
from airflow_provider_amplitude_segment.core.state import pairs_query, state_query

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.entry import Commit
    from airflow_provider_amplitude_segment.core.ledger import Ledger

log = logging.getLogger(__name__)


def count_pairs(engine: duckdb.DuckDBPyConnection, state: Path | None) -> int:
    """Return how many pairs of trait and user a state holds."""
    (known,) = one_row(engine, f"SELECT count(*) FROM ({pairs_query(state)})")
    return int(known)


def keep_doubtful(engine: duckdb.DuckDBPyConnection, state: Path, to: Path) -> Path:
    """Write the state that a retirement leaves: who is in doubt, as Segment refused them."""
    engine.execute(write_parquet(f"FROM ({state_query(state)}) WHERE in_doubt", to))
    return to


def forget(ledger: Ledger, kept: Commit | None, claim: int) -> None:
    """Take away whatever names a user, but for what ``kept`` names and the list of who was refused in it.

    Whoever calls this has looked at the claims just before; a rival that came since reads ``kept`` and nothing older.
    Entries go before the files they name, so that a process may die in between, and this may be done again.

    Args:
        ledger: a stream's.
        kept: its newest commit; ``None`` where there is none.
        claim: generation of the claim that is held: what is of a higher one is another owner's.

    Raises:
        StatePathError: the place failed; what is still there is taken away by doing it again.
    """
    names = ledger.names()
    stays = {str(ObjectName("claim", newest_generation(names)))}
    if kept is not None:
        stays |= {str(ObjectName("commit", kept.generation)), kept.snapshot.name}
    gone = [n for n in names if n not in stays and (found := parse_object(n)) and found.owner <= claim]
    # This claim's own renewal may be writing just now.
    delete_objects(ledger, [*gone, *unfinished_before(names, claim)])
    listed = kept.generation if kept is not None and kept.report.get("rejected") else None
    for folder in FOR_PEOPLE:
        for name in sorted(ledger.names_beside(folder)):
            number = rejected_generation(name) if folder == REJECTED else None
            stays_listed = number is not None and (number > claim or number == listed)
            if (is_beside(folder, name) and not stays_listed) or is_unfinished_beside(folder, name):
                ledger.take_away(f"{folder}/{name}")
    if foreign := ledger.foreign():
        log.warning(
            "%s holds what is not this package's, and it was left as it is. Look whether it names users: %s",
            ledger.locate("").rstrip("/"),
            ", ".join(foreign),
        )
