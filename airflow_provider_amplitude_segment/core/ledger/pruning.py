"""Pruning: the deletion of what a ledger no longer needs.

Pruning keeps the newest plan, the commits of the last syncs and the corrective ones between them, each with the files
it names, the plan's journals, the changes of all plans after the oldest kept commit, and the highest claim with its
``seen`` note (design 4, rule 10). It keeps the newest reports, the files for people except those of verifications of
deleted commits, and every foreign object: one of another name, or an entry without the mark.

Entries are deleted before the files that they name, so that no entry lacks a file after a kill. A run verifies its
claim just before it prunes. A run that is paused in between deletes only what was older than the newest entry when it
listed the folder, and no run reads that. Files of a generation after the newest entry stay: a claim's owner that paused
before it wrote its plan may still write it, and then that plan is the newest entry.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import write_parquet
from airflow_provider_amplitude_segment.core.ledger.claim import newest_generation
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.entry_order import entries_of
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    FOR_PEOPLE,
    REJECTED,
    REPORTS,
    VERIFICATION,
    ObjectName,
    is_unfinished_beside,
    names_users,
    objects_of,
    parse_object,
    parse_unfinished,
    rejected_generation,
    report_claim,
    report_file,
    verified_generation,
)
from airflow_provider_amplitude_segment.core.ledger.state import pairs_query, state_query
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger


log = logging.getLogger(__name__)

KEPT_REPORTS = 1_000
"""How many reports of a stream are kept, the newest."""


def prune(ledger: Ledger, keep_commits: int) -> None:
    """Delete what a ledger no longer needs; log a warning where the store fails.

    Args:
        ledger: a stream's. Its claim was verified a moment ago.
        keep_commits: number of syncs whose commits to keep, at least 1.
    """
    try:
        names = ledger.names()
        kept = _kept(ledger, names, keep_commits)
        surplus = [name for name in names if parse_object(name) and name not in kept]
        delete_objects(ledger, [*surplus, *unfinished_before(names, newest_generation(names))])
        if objects_of(surplus, "commit"):
            _delete_verifications_before(ledger, objects_of(kept, "commit")[0].generation)
    except LedgerError as error:
        log.warning("The ledger could not be pruned: %s", error.happened)


def _delete_verifications_before(ledger: Ledger, generation: int) -> None:
    """Delete the files of the verifications of commits that are not kept."""
    for name in sorted(ledger.names_beside(VERIFICATION)):
        number = verified_generation(name)
        if number is not None and number < generation:
            ledger.delete(f"{VERIFICATION}/{name}")


def surplus_reports(names: Iterable[str], keep: int = KEPT_REPORTS) -> list[str]:
    """Return the reports to delete, by the names in their folder; foreign files are not among them.

    >>> surplus_reports(["9.json", "10.json", "11.json", "notes.txt"], keep=2)
    ['reports/9.json']
    """
    claims = sorted(claim for name in names if (claim := report_claim(name)) is not None)
    return [report_file(claim) for claim in claims[:-keep]]


def prune_reports(ledger: Ledger, newest: int) -> None:
    """Delete the surplus reports after report ``newest`` was written; the folder is listed only if there may be some.

    Raises:
        StatePathError: the store failed; the next call deletes the rest.
    """
    if newest > KEPT_REPORTS:
        for name in surplus_reports(ledger.names_beside(REPORTS)):
            ledger.delete(name)


def prune_before(ledger: Ledger, generation: int) -> None:
    """Delete every plan and commit before a generation, with all their files; the claims stay.

    Raises:
        StatePathError: the store failed; another call deletes the rest.
    """
    names = ledger.names()
    older = [
        name
        for name in names
        if (found := parse_object(name)) and found.kind != "claim" and found.generation < generation
    ]
    delete_objects(ledger, [*older, *unfinished_before(names, newest_generation(names))])


def delete_objects(ledger: Ledger, names: Iterable[str]) -> None:
    """Delete objects of a ledger, the entries first; warn of an entry of another program, and keep it."""
    for name in sorted(names, key=lambda name: (not name.endswith(".json"), name)):
        if name.endswith(".json") and ledger.is_foreign(name):
            log.warning("%s does not carry this package's mark, so it was not deleted.", ledger.locate(name))
        else:
            ledger.delete(name)


def unfinished_before(names: Iterable[str], claim: int) -> list[str]:
    """Return the unfinished objects of owners before ``claim``; later owners may still be writing.

    >>> unfinished_before([".snapshot-1-2.parquet.0a", ".snapshot-1-3.parquet.0a", ".notes.swp.0a"], 3)
    ['.snapshot-1-2.parquet.0a']
    """
    return [name for name in names if (found := parse_unfinished(name)) and found.owner < claim]


def _kept(ledger: Ledger, names: Iterable[str], keep_commits: int) -> set[str]:
    claims = objects_of(names, "claim")[-1:]
    entries = entries_of(names)
    newest = entries[-1].generation if entries else 0
    kept = {str(name) for name in objects_of(names, "changes", "base") if name.generation > newest}
    kept |= {str(name) for claim in claims for name in (claim, ObjectName("seen", claim.generation))}
    for name in [entry for entry in entries if entry.kind == "plan"][-1:]:
        plan = ledger.entry(name)
        if isinstance(plan, Plan):
            kept |= {str(name), plan.changes.name, *([plan.base.name] if plan.base else [])}
        kept |= {str(acked) for acked in objects_of(names, "acked") if acked.generation == name.generation}
    commits = _last_commits(ledger, entries, keep_commits)
    # A rollback to a commit needs the changes of all later plans, also of abandoned ones.
    kept |= {str(c) for c in objects_of(names, "changes") if commits and c.generation > commits[-1].generation}
    for commit in commits:
        kept |= {str(ObjectName("commit", commit.generation)), commit.snapshot.name}
    return kept


def _last_commits(ledger: Ledger, entries: Sequence[ObjectName], syncs: int) -> list[Commit]:
    """Return the commits of the last syncs, and the corrective ones after the first of them; the newest first.

    A verification that heals each day makes as many commits as the syncs, and must not push out theirs.
    """
    found: list[Commit] = []
    for name in reversed([entry for entry in entries if entry.kind == "commit"]):
        if sum(commit.delivered_generation == commit.generation for commit in found) == syncs:
            break
        found.append(ledger.commit(name.generation))
    return found


def count_pairs(engine: duckdb.DuckDBPyConnection, state: Path | None) -> int:
    """Return the number of pairs of trait and user in a state."""
    (known,) = one_row(engine, f"SELECT count(*) FROM ({pairs_query(state)})")
    return int(known)


def keep_in_doubt(engine: duckdb.DuckDBPyConnection, state: Path, to: Path) -> Path:
    """Write the state after a retirement: the users in doubt, whom Segment rejected."""
    engine.execute(write_parquet(f"FROM ({state_query(state)}) WHERE in_doubt", to))
    return to


def purge(ledger: Ledger, kept: Commit | None, claim: int) -> None:
    """Delete everything that names a user, except the files of ``kept`` and its list of rejected users.

    The caller verifies its claim just before. A run that claims after that reads ``kept`` and nothing older. Entries
    are deleted before the files that they name, so that another call can finish after a kill. One case is left: an
    owner that paused just before it wrote its plan, and wakes after the retry of an earlier run has purged, leaves a
    plan without files. The next sync raises ``LedgerDamagedError`` then, because users' IDs may not stay for it.

    Args:
        ledger: a stream's.
        kept: its newest commit; ``None`` where there is none.
        claim: generation of the claim that is held; objects of a higher one belong to another run.

    Raises:
        StatePathError: the store failed; another call deletes the rest.
    """
    names = ledger.names()
    stays = {str(ObjectName("claim", newest_generation(names)))}
    if kept is not None:
        stays |= {str(ObjectName("commit", kept.generation)), kept.snapshot.name}
    surplus = [n for n in names if n not in stays and (found := parse_object(n)) and found.owner <= claim]
    # Not from this claim on, because its renewal may be writing.
    delete_objects(ledger, [*surplus, *unfinished_before(names, claim)])
    listed = kept.generation if kept is not None and kept.report.get("rejected") else None
    for folder in FOR_PEOPLE:
        for name in sorted(ledger.names_beside(folder)):
            number = rejected_generation(name) if folder == REJECTED else None
            stays_listed = number is not None and (number > claim or number == listed)
            if (names_users(folder, name) and not stays_listed) or is_unfinished_beside(folder, name):
                ledger.delete(f"{folder}/{name}")
    if foreign := ledger.foreign():
        log.warning(
            "%s holds objects of other programs, which were not deleted. Check whether they name users: %s",
            ledger.locate("").rstrip("/"),
            ", ".join(foreign),
        )
