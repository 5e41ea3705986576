"""The verdict on a verification: what it says is what Segment shows, and it changes what it heals and nothing else."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifyReport
from airflow_provider_amplitude_segment.exceptions import MismatchError, NewerSyncError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination
    from faults.verdict import Finding
    from faults.verify_attempt import VerifyAttempt
    from faults.world import State, World

Pair = tuple[str, str]
"""A trait and a user."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a verification finds when it begins."""

    generation: int
    is_commit: bool
    state: State
    batches: int
    exports: int


def find(world: World) -> Found:
    newest = world.newest(world.proved)
    return Found(
        newest.generation if newest else 0,
        isinstance(newest, Commit),
        world.state(world.proved) if newest else {},
        world.sandbox.segment.batches_received,
        world.sandbox.amplitude.exports_spent,
    )


def judge_verification(world: World, attempt: VerifyAttempt, found: Found) -> Iterator[Finding]:
    """Hold what a verification says and did against Segment and against the ledger."""
    name, report = attempt.process.name, attempt.report
    if attempt.escaped is not None:
        yield "escaped", f"{name}: {attempt.escaped!r}"
    yield from _judge_counts(name, report)
    newest = world.newest(world.proved)
    own = newest is not None and newest.run_key == attempt.run.key
    if newest is None or not (newest.generation == found.generation or (own and newest.generation > found.generation)):
        # Another run has written meanwhile.
        return
    if report.generation not in {None, found.generation} or found.is_commit is not isinstance(newest, Commit):
        # It was paused before it read the ledger, and read what another run wrote.
        return
    sent = world.sandbox.segment.batches_received, world.sandbox.amplitude.exports_spent
    if "pause" not in attempt.process.met and sent != (found.batches, found.exports):
        yield "wrong", f"{name}: sent or spent"
    if not found.is_commit:
        if isinstance(attempt.outcome, VerifyReport | MismatchError | NewerSyncError):
            yield "wrong", f"{name}: verified a state that is not committed"
        return
    reported = _reported(report)
    yield from _judge_state(world, attempt, found, reported)
    if report.sampled is not None:
        yield from _judge_users(world, attempt, found.state, reported)


def _judge_counts(name: str, report: VerifiedDestination) -> Iterator[Finding]:
    classes = (report.matched, report.different, report.absent, report.suppressed, report.shares_profile)
    if (report.sampled or 0) != sum(classes) + report.unreadable + report.unanswered:
        yield "reports", f"{name}: {report}"
    if report.mismatches != report.different + report.absent or report.healed not in {0, report.mismatches}:
        yield "reports", f"{name}: {report}"


def _reported(report: VerifiedDestination) -> set[Pair]:
    """Return the pairs of the report's own list of mismatched users."""
    if report.mismatched_users is None:
        return set()
    with Path(report.mismatched_users).open(newline="", encoding="utf-8") as file:
        return {(row["trait"], row["user_id"]) for row in csv.DictReader(file)}


def _judge_state(world: World, attempt: VerifyAttempt, found: Found, reported: AbstractSet[Pair]) -> Iterator[Finding]:
    """Hold the ledger against what it was: the same, or with the healed pairs in doubt, whole."""
    name, after = attempt.process.name, world.state(world.proved)
    if {pair: delivered for pair, (delivered, _, _) in after.items()} != {
        pair: delivered for pair, (delivered, _, _) in found.state.items()
    }:
        yield "wrong", f"{name}: a verification changed what was delivered"
    doubted = {pair for pair, (_, in_doubt, _) in found.state.items() if in_doubt}
    added = {pair for pair, (_, in_doubt, _) in after.items() if in_doubt} - doubted
    healed = attempt.report.healed
    if added not in (set(), reported) or (healed and added != reported) or (added and not attempt.settings.heal):
        yield "wrong", f"{name}: {healed=}, and {sorted(added ^ reported)} differ of those in doubt"


def _judge_users(world: World, attempt: VerifyAttempt, state: State, reported: AbstractSet[Pair]) -> Iterator[Finding]:
    """Hold each reported pair, and each matched one of a complete sample, against what Segment showed when asked."""
    name, report = attempt.process.name, attempt.report
    asked_at = _asked_at(attempt)
    settled = {
        pair: delivered for pair, (delivered, in_doubt, _) in state.items() if not in_doubt and delivered is not None
    }
    for pair in sorted(reported):
        if pair not in settled or _agrees(world, pair, settled[pair], asked_at):
            yield "false alarms", f"{name}: {pair} is reported, and Segment has {settled.get(pair)}"
    is_whole = isinstance(attempt.outcome, VerifyReport | MismatchError) and report.sampled == len(settled)
    if is_whole and len(reported) != report.mismatches:
        yield "reports", f"{name}: {len(reported)} listed of {report.mismatches}"
    if is_whole and report.matched + report.mismatches == len(settled):
        for pair in sorted(settled.keys() - reported):
            if not _agrees(world, pair, settled[pair], asked_at):
                yield "missed losses", f"{name}: {pair} is matched, and Segment has not {settled[pair]}"


def _agrees(world: World, pair: Pair, delivered: bool, asked_at: dict[Pair, float]) -> bool:
    """Return whether Segment showed the ledger's value when it was asked last; a former member may be unknown to it."""
    trait, user = pair
    asked = ("" if "," in trait else trait, user.lower())
    if asked not in asked_at:
        return False
    profile = world.sandbox.segment.profile(user.lower(), asked_at[asked])
    held = profile.traits.get(trait) if profile else None
    return held.value is delivered if held else not delivered


def _asked_at(attempt: VerifyAttempt) -> dict[Pair, float]:
    """Return when each pair was asked for last; a trait with a comma is asked for without a name."""
    found: dict[Pair, float] = {}
    for path, seconds in attempt.process.asked_at.items():
        parts = urlsplit(path)
        *_, profile, route = parts.path.split("/")
        if route == "traits":
            trait = parse_qs(parts.query).get("include", [""])[0]
            pair = trait, unquote(profile).removeprefix("user_id:").lower()
            found[pair] = max(seconds, found.get(pair, 0.0))
    return found
