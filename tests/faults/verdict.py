"""The verdict: what Segment believes, held against the cohort and against the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.plan.diff import REJECTIONS_BEFORE_WAITING
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.exceptions import RejectedUsersError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from faults.attempt import Attempt
    from faults.world import World

Finding = tuple[str, str]
"""The check that failed, and what was found."""


def judge_ledger(world: World, destination: Destination) -> Iterator[Finding]:
    """Hold every pair that the ledger is sure of against what Segment believes, and the other way round.

    A user who lost a message behind a 200 may differ until a verification has healed what was lost.
    """
    state = world.state(destination)
    beliefs = _beliefs(world, destination)
    for (trait, user), (delivered, in_doubt, rejections) in state.items():
        believed = beliefs.get((trait, user))
        if in_doubt or believed is delivered or world.lost.explains(user, delivered=delivered, believed=believed):
            continue
        text = f"{destination.name}: {user!r} {delivered=}, {believed=} ({trait!r}, {rejections=})"
        yield "differences", text
    newest = world.newest(destination)
    if isinstance(newest, Plan):
        for trait, user, value in world.acknowledged(destination, newest):
            if state.get((trait, user)) != (value, False, 0):
                yield "differences", f"{destination.name}: the plan's journal has {user!r}, the state has not"
    for pair in beliefs.keys() - state.keys():
        yield "differences", f"{destination.name}: {pair} is believed {beliefs[pair]} and not in the ledger"


def judge_members(
    world: World, destination: Destination, members: AbstractSet[str], trait: str, spared: AbstractSet[str]
) -> Iterator[Finding]:
    """Hold what Segment believes, under the current trait key and all others, against who is a member.

    ``spared`` are users to whom nothing could be delivered.
    """
    beliefs = _beliefs(world, destination)
    for user in members - spared:
        if beliefs.get((trait, user)) is not True:
            yield "wrong", f"{destination.name}: member {user!r} is believed {beliefs.get((trait, user))}"
    for (believed_trait, user), value in beliefs.items():
        if value and user not in spared and (believed_trait != trait or user not in members):
            yield "wrong", f"{destination.name}: {user!r} is no member under {believed_trait!r} and believed one"


def judge_success(world: World, attempt: Attempt) -> Iterator[Finding]:
    """Hold each destination that a successful try committed against the export that it delivered."""
    report = attempt.sync.report
    for destination in world.keys:
        newest = world.newest(destination)
        own = isinstance(newest, Commit) and newest.run_key == attempt.run.key
        if not own or newest is None or newest.export_request_id != report.export_request_id:
            continue
        members, wrong = _delivered_members(world, destination.name, newest.export_request_id, attempt)
        yield from wrong
        doubted = {user for (_, user), (_, in_doubt, _) in world.state(destination).items() if in_doubt}
        yield from judge_members(world, destination, members, newest.trait, doubted | world.lost.unhealed)
        counts = report.destination(destination.name)
        pairs = sum(in_doubt for _, in_doubt, _ in world.state(destination).values())
        # Where the set was synced before, users that were skipped then are still in doubt.
        is_settled = attempt.from_files and counts.follows == counts.generation
        if pairs != counts.rejected + (newest.report["skipped"] if is_settled else counts.skipped):
            yield "wrong", f"{pairs} pairs in doubt after a sync with {counts.rejected=} and {counts.skipped=}"


def judge_cohort(world: World, for_good: AbstractSet[str], *, spare_waiting: bool) -> Iterator[Finding]:
    """Hold all destinations against the cohort as it is; a user rejected ``for_good``, waiting or lost is spared."""
    members = {user for user in world.cohort.user_ids if user}
    for destination in world.keys:
        state = world.state(destination)
        waiting = {user for (_, user), (_, _, rejections) in state.items() if rejections >= REJECTIONS_BEFORE_WAITING}
        spared = for_good | (waiting if spare_waiting else set())
        newest = world.newest(destination)
        yield from judge_members(
            world, destination, members, newest.trait if newest else "", spared | world.lost.unhealed
        )
        yield from judge_ledger(world, destination)
        doubted = {user for (_, user), (_, in_doubt, _) in state.items() if in_doubt}
        if doubted - spared:
            yield "wrong", f"in doubt after a calm sync: {sorted(doubted - spared)}"


def _delivered_members(
    world: World, destination: str, export_id: str, attempt: Attempt
) -> tuple[AbstractSet[str], list[Finding]]:
    """Return who Segment should believe to be a member, and what is wrong with having delivered this export or set."""
    if not attempt.from_files:
        export = world.sandbox.amplitude.complete_export(export_id)
        if attempt.process.ahead or export_id in world.book.misdated:
            world.file_book.forget_delivered(destination)
        else:
            world.file_book.note_export(destination, export.requested)
        return {user for user in export.membership.user_ids if user}, []
    found = world.file_book.delivered_set(export_id)
    if found is None:
        return set(), [("file sets", f"{destination}: a set was delivered that never was whole")]
    return found.made.user_ids, world.file_book.note_delivered(destination, found)


def judge_totals(world: World, allowed_exports: int) -> Iterator[Finding]:
    """Hold a whole history against what it may spend, send twice and take over."""
    yield from world.file_book.findings
    for text in world.claims.taken_over:
        yield "claims", text
    if twice := world.mail.sent_twice():
        yield "sent twice", f"{twice} users were sent twice in one plan under two message IDs"
    if (spent := world.sandbox.amplitude.exports_spent) > allowed_exports:
        yield "exports", f"{spent} spent, {allowed_exports} allowed"


def someone_is_pending(world: World) -> bool:
    """Return whether a destination has a user in doubt."""
    states = [world.state(destination) for destination in world.keys]
    return any(in_doubt for state in states for _, in_doubt, _ in state.values())


def pairs_to_send(world: World) -> int:
    """Return how many pairs in doubt an incremental sync sends again, over all destinations."""
    return sum(
        in_doubt and rejections < REJECTIONS_BEFORE_WAITING
        for destination in world.keys
        for _, in_doubt, rejections in world.state(destination).values()
    )


def planned_by(attempt: Attempt) -> int:
    """Return how many identifies a try planned, over all destinations."""
    return sum(destination.planned for destination in attempt.sync.report.destinations)


def judge_report(attempt: Attempt) -> Iterator[Finding]:
    """Hold a try's report against itself, and a try from files against having asked for an export."""
    if attempt.from_files and "request" in attempt.process.steps:
        yield "exports", f"{attempt.process.name} reads files and requested an export"
    for counts in attempt.sync.report.destinations:
        if counts.planned != counts.acknowledged + counts.rejected + counts.pending:
            yield "reports", f"{attempt.process.name}: {counts}"
        if isinstance(attempt.outcome, SyncReport | RejectedUsersError) and (counts.pending or not counts.committed):
            yield "reports", f"{attempt.process.name} succeeded: {counts}"


def _beliefs(world: World, destination: Destination) -> dict[tuple[str, str], bool]:
    """Return what the destination's source holds, by trait and user."""
    key = world.keys[destination]
    segment = world.sandbox.segment
    return {
        (trait, user): value
        for trait in segment.trait_counts(key)
        for users, value in ((segment.believes(key, trait), True), (segment.disbelieves(key, trait), False))
        for user in users
    }
