"""Pruning: what a ledger need not hold any more.

Kept are the newest plan, the last commits, each with the files it names, the plan's journals, the changes of all plans
after the oldest kept commit, and the highest claim with the note of its readers (design 4, rule 10). Entries go before
the files they name, so that a process may die in between. Whoever prunes has looked at the claims just before; should
it be paused there, what it takes away was older than the newest plan when it listed them, and nobody reads that.
Reports and the files for people stay.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.claim import newest_generation
from airflow_provider_amplitude_segment.core.entry import Commit, Plan
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_amplitude_segment.core.ledger import Ledger

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(claim|seen|plan|commit|changes|base|acked|snapshot)-(\d+)(?:-\d+)?\.(?:json|parquet)")

# What a process that was killed while it wrote has left beside the place (clients.ledger_store); by its claim.
_UNFINISHED = re.compile(r"\.[a-z]+(?:-\d+)?-(\d+)\.(?:json|parquet)\.[0-9a-f]+")


def prune(ledger: Ledger, keep_commits: int) -> None:
    """Take away what is not kept; a place that fails meanwhile is only warned of.

    Args:
        ledger: a stream's, whose claim this process holds or held a moment ago.
        keep_commits: commits to keep, at least 1.
    """
    try:
        names = ledger.names()
        kept = _kept(ledger, names, keep_commits)
        gone = [name for name in names if _NUMBERED.fullmatch(name) and name not in kept]
        _take_away(ledger, [*gone, *_unfinished(names)])
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
        if (match := _NUMBERED.fullmatch(name)) and match[1] != "claim" and int(match[2]) < generation
    ]
    _take_away(ledger, [*older, *_unfinished(names)])


def _take_away(ledger: Ledger, names: Iterable[str]) -> None:
    for name in sorted(names, key=lambda name: (not name.endswith(".json"), name)):
        ledger.take_away(name)


def _unfinished(names: Iterable[str]) -> list[str]:
    """Return what earlier claims' owners left half written; the highest claim's owner may be writing just now."""
    highest = newest_generation(list(names))
    return [name for name in names if (match := _UNFINISHED.fullmatch(name)) and int(match[1]) < highest]


def _kept(ledger: Ledger, names: Iterable[str], keep_commits: int) -> set[str]:
    numbers: dict[str, list[int]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbers.setdefault(match[1], []).append(int(match[2]))
    kept = {name for n in sorted(numbers.get("claim", []))[-1:] for name in (f"claim-{n}.json", f"seen-{n}.json")}
    for number in sorted(set(numbers.get("plan", [])))[-1:]:
        plan = ledger.entry(f"plan-{number}.json")
        if isinstance(plan, Plan):
            kept |= {f"plan-{number}.json", plan.changes.name, *([plan.base.name] if plan.base else [])}
        kept |= {name for name in names if name.startswith(f"acked-{number}-")}
    commits = sorted(set(numbers.get("commit", [])))[-keep_commits:]
    # Whoever goes back to a commit must know whom plans after it told, also those that were given up.
    kept |= {f"changes-{n}.parquet" for n in numbers.get("changes", []) if commits and n > commits[0]}
    for number in commits:
        commit = ledger.entry(f"commit-{number}.json")
        if isinstance(commit, Commit):
            kept |= {f"commit-{number}.json", commit.snapshot.name}
    return kept
