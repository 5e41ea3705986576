"""Pruning: what a ledger need not hold any more.

Kept are the newest plan, the last commits, each with the files it names, the plan's journals, the changes of all plans
after the oldest kept commit, and the highest claim with the note of its readers (design 4, rule 10). Entries go before
the files they name, so that a process may die in between. Whoever prunes has looked at the claims just before; should
it be paused there, what it takes away was older than the newest plan when it listed them, and nobody reads that.
Reports and the files for people stay, and so does every object that is not this package's: one of another name, and an
entry without the mark.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import write_parquet
from airflow_provider_amplitude_segment.core.ledger.claim import newest_generation
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    FOR_PEOPLE,
    REJECTED,
    ObjectName,
    is_beside,
    is_unfinished_beside,
    objects_of,
    parse_object,
    parse_unfinished,
    rejected_generation,
)
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, state_query
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger


log = logging.getLogger(__name__)


def prune(ledger: Ledger, keep_commits: int) -> None:
    """Take away what is not kept; a place that fails meanwhile is only warned of.

    Args:
        ledger: a stream's, whose claim this process holds or held a moment ago.
        keep_commits: commits to keep, at least 1.
    """
    try:
        names = ledger.names()
        kept = _kept(ledger, names, keep_commits)
        gone = [name for name in names if parse_object(name) and name not in kept]
        delete_objects(ledger, [*gone, *unfinished_before(names, newest_generation(names))])
    except LedgerError as error:
        log.warning("The ledger could not be pruned: %s", error)


def prune_before(ledger: Ledger, generation: int) -> None:
    """Take away every plan and commit before a generation, with all their files; the claims stay.

    Raises:
        StatePathError: the place failed; what is still there is taken away by doing it again.
    """
    names = ledger.names()
    older = [
        name
        for name in names
        if (found := parse_object(name)) and found.kind != "claim" and found.generation < generation
    ]
    delete_objects(ledger, [*older, *unfinished_before(names, newest_generation(names))])


def delete_objects(ledger: Ledger, names: Iterable[str]) -> None:
    """Delete objects of a ledger, its entries first; an entry that another program wrote stays, with a warning."""
    for name in sorted(names, key=lambda name: (not name.endswith(".json"), name)):
        if name.endswith(".json") and ledger.is_foreign(name):
            log.warning("%s does not carry this package's mark, and was left as it is.", ledger.locate(name))
        else:
            ledger.delete(name)


def unfinished_before(names: Iterable[str], claim: int) -> list[str]:
    """Return what the owners of earlier claims left half written; an owner from ``claim`` on may be writing just now.

    >>> unfinished_before([".snapshot-1-2.parquet.0a", ".snapshot-1-3.parquet.0a", ".notes.swp.0a"], 3)
    ['.snapshot-1-2.parquet.0a']
    """
    return [name for name in names if (found := parse_unfinished(name)) and found.owner < claim]


def _kept(ledger: Ledger, names: Iterable[str], keep_commits: int) -> set[str]:
    claims = objects_of(names, "claim")[-1:]
    kept = {str(name) for claim in claims for name in (claim, ObjectName("seen", claim.generation))}
    for name in objects_of(names, "plan")[-1:]:
        plan = ledger.entry(name)
        if isinstance(plan, Plan):
            kept |= {str(name), plan.changes.name, *([plan.base.name] if plan.base else [])}
        kept |= {str(acked) for acked in objects_of(names, "acked") if acked.generation == name.generation}
    commits = objects_of(names, "commit")[-keep_commits:]
    # Whoever goes back to a commit must know whom plans after it told, also those that were given up.
    kept |= {str(c) for c in objects_of(names, "changes") if commits and c.generation > commits[0].generation}
    for name in commits:
        commit = ledger.entry(name)
        if isinstance(commit, Commit):
            kept |= {str(name), commit.snapshot.name}
    return kept


def count_pairs(engine: duckdb.DuckDBPyConnection, state: Path | None) -> int:
    """Return how many pairs of trait and user a state holds."""
    (known,) = one_row(engine, f"SELECT count(*) FROM ({pairs_query(state)})")
    return int(known)


def keep_in_doubt(engine: duckdb.DuckDBPyConnection, state: Path, to: Path) -> Path:
    """Write the state that a retirement leaves: who is in doubt, as Segment refused them."""
    engine.execute(write_parquet(f"FROM ({state_query(state)}) WHERE in_doubt", to))
    return to


def purge(ledger: Ledger, kept: Commit | None, claim: int) -> None:
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
                ledger.delete(f"{folder}/{name}")
    if foreign := ledger.foreign():
        log.warning(
            "%s holds what is not this package's, and it was left as it is. Look whether it names users: %s",
            ledger.locate("").rstrip("/"),
            ", ".join(foreign),
        )
