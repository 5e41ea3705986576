"""The end of a retirement: who was told ``false`` for certain is forgotten, and so is everything that named them.

What stays of the ledger are its last commit, with nobody in its state but who is in doubt, the highest claim, the hint,
and the reports, which hold counts. So generations and timestamps go on above all that was told, and a later sync of the
cohort is a first one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.claim import newest_generation
from airflow_provider_amplitude_segment.core.engine import one_row
from airflow_provider_amplitude_segment.core.engine_file import write_parquet
from airflow_provider_amplitude_segment.core.state import pairs_query, state_query

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.entry import Commit
    from airflow_provider_amplitude_segment.core.ledger import Ledger

_FILES_FOR_PEOPLE = ("rejected", "dry-runs")

_NUMBERED = re.compile(r"(?:claim|plan|commit|changes|base|acked|snapshot)-(\d+)(?:-\d+)?\.(?:json|parquet)")

# What a process that was killed while it wrote has left beside the place (clients.ledger_store).
_UNFINISHED = re.compile(r"\.[a-z]+-(\d+)(?:-\d+)?\.(?:json|parquet)\.[0-9a-f]+")


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
    stays = {f"claim-{newest_generation(names)}.json"}
    if kept is not None:
        stays |= {f"commit-{kept.generation}.json", kept.snapshot.name}
    gone = [n for n in names if n not in stays and (match := _NUMBERED.fullmatch(n)) and int(match[1]) <= claim]
    # This claim's own renewal may be writing just now.
    gone += [name for name in names if (match := _UNFINISHED.fullmatch(name)) and int(match[1]) < claim]
    for name in sorted(gone, key=lambda name: (not name.endswith(".json"), name)):
        ledger.take_away(name)
    refused = f"{kept.generation}.csv" if kept is not None and kept.report.get("rejected") else None
    for folder in _FILES_FOR_PEOPLE:
        for name in sorted(ledger.names_beside(folder)):
            number = name.removesuffix(".csv")
            is_anothers = number.isdecimal() and int(number) > claim
            if not is_anothers and (folder != "rejected" or name != refused):
                ledger.take_away(f"{folder}/{name}")
