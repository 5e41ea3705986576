"""Pruning: what a ledger need not hold any more.

Kept are the newest plan, the last commits, each with the files it names, the plan's journals, and the highest claim
(design 4, rule 10). Entries go before the files they name, so that a process may die in between. Whoever prunes has
looked at the claims just before; should it be paused there, what it takes away was older than the newest plan when it
listed them, and nobody reads that.
Reports and the files for people stay.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger import Commit, Plan
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_amplitude_segment.core.ledger import Ledger

log = logging.getLogger(__name__)

_NUMBERED = re.compile(r"(claim|plan|commit|changes|base|acked|snapshot)-(\d+)(?:-\d+)?\.(?:json|parquet)")


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
        for name in sorted(gone, key=lambda name: (not name.endswith(".json"), name)):
            ledger.take_away(name)
    except LedgerError as error:
        log.warning("The ledger could not be pruned: %s", error)


def _kept(ledger: Ledger, names: Iterable[str], keep_commits: int) -> set[str]:
    numbers: dict[str, list[int]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbers.setdefault(match[1], []).append(int(match[2]))
    kept = {f"claim-{number}.json" for number in sorted(numbers.get("claim", []))[-1:]}
    for number in sorted(set(numbers.get("plan", [])))[-1:]:
        plan = ledger.entry(f"plan-{number}.json")
        if isinstance(plan, Plan):
            kept |= {f"plan-{number}.json", plan.changes.name, *([plan.base.name] if plan.base else [])}
        kept |= {name for name in names if name.startswith(f"acked-{number}-")}
    for number in sorted(set(numbers.get("commit", [])))[-keep_commits:]:
        commit = ledger.entry(f"commit-{number}.json")
        if isinstance(commit, Commit):
            kept |= {f"commit-{number}.json", commit.snapshot.name}
    return kept
