"""Read the newest committed state of a stream, and the last delivery before it, without a claim.

A verification must not keep a sync out, so it holds no claim. The ledger's files are written once, so what was read is
whole; ``raise_if_newer`` shows at the end whether a sync changed the ledger meanwhile.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.ledger.claim import Claim
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, objects_of
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    LedgerDamagedError,
    LedgerFormatError,
    NewerSyncError,
    UnfinishedSyncError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream

_LISTINGS = 3
"""The folder is listed again where a sync prunes the newest entry before it is read."""

_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class LastDelivery:
    """What the last sync sent, as far as the ledger still has it.

    Attributes:
        plan: of the sync.
        acknowledged: identifies that Segment acknowledged, in all tries.
        since: beginning of the first minute in which it sent, epoch seconds.
        until: end of the last one.
    """

    plan: Plan
    acknowledged: int
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class CommittedState:
    """The newest commit of a stream.

    Attributes:
        stream: the stream.
        ledger: its ledger.
        commit: the newest entry.
        last_delivery: of the newest sync; ``None`` where the ledger does not have it any more, as after an erasure.
        settles_from: when Segment received the last message, epoch seconds.
    """

    stream: Stream
    ledger: Ledger
    commit: Commit
    last_delivery: LastDelivery | None
    settles_from: float


def read_committed(store: Store, stream: Stream, now: float) -> CommittedState:
    """Return the newest commit of a stream.

    Raises:
        ClaimHeldError: the newest plan has no commit, and its sync is running.
        UnfinishedSyncError: the newest plan has no commit, and no sync is running.
        LedgerDamagedError, LedgerFormatError: the newest entry cannot be read.
    """
    ledger = Ledger(store, stream.folder)
    newest = _newest(ledger)
    if not isinstance(newest, Commit):
        _raise_if_running(store, stream, now)
        raise UnfinishedSyncError(stream.destination.segment_conn_id, newest.generation if newest else 0)
    delivered = newest
    if newest.delivered_generation != newest.generation:
        # A rollback, an erasure or a healing came after the sync.
        with suppress(LedgerDamagedError, LedgerFormatError):
            delivered = ledger.commit(newest.delivered_generation)
    # The messages are dated by the beginning of the delivery.
    ended = _epoch(delivered.timestamp) + float(delivered.report.get("seconds") or 0.0)
    return CommittedState(stream, ledger, newest, _last_delivery(ledger, delivered, ended), ended)


def raise_if_newer(state: CommittedState) -> None:
    """Raise where the ledger has a newer plan or commit than the one that was verified.

    Raises:
        NewerSyncError: it has.
    """
    newest = state.ledger.newest_number()
    if newest != state.commit.generation:
        raise NewerSyncError(state.stream.destination.segment_conn_id, state.commit.generation, newest)


def load_snapshot(state: CommittedState, to: Path) -> Path:
    """Copy the state to the worker's disk.

    Raises:
        NewerSyncError: newer syncs pruned it meanwhile.
        LedgerDamagedError: it is missing, or differs from what the commit says.
    """
    try:
        return state.ledger.load_file(state.commit.snapshot, to)
    except LedgerDamagedError:
        raise_if_newer(state)
        raise


def load_changes(state: CommittedState, to: Path) -> Path | None:
    """Copy the changes of the last delivery to the worker's disk; ``None`` where the ledger does not have them."""
    if state.last_delivery is None:
        return None
    try:
        return state.ledger.load_file(state.last_delivery.plan.changes, to)
    except LedgerDamagedError:
        raise_if_newer(state)
        raise


def _newest(ledger: Ledger) -> Plan | Commit | None:
    for _ in range(_LISTINGS - 1):
        number = ledger.newest_number()
        try:
            return ledger.newest()
        except LedgerDamagedError:
            if ledger.newest_number() == number:
                raise
    return ledger.newest()


def _last_delivery(ledger: Ledger, delivered: Commit, ended: float) -> LastDelivery | None:
    """Return the delivery behind a commit; ``None`` where its plan was deleted, or its commit is a corrective one."""
    name = ObjectName("plan", delivered.generation)
    if delivered.delivered_generation != delivered.generation or str(name) not in ledger.names():
        return None
    try:
        plan = ledger.entry(name)
    except LedgerDamagedError:
        # A newer sync pruned it; the end of the verification finds that out.
        return None
    if not isinstance(plan, Plan):
        return None
    since = math.floor(_epoch(plan.timestamp) / _MINUTE) * _MINUTE
    # A minute more, because Segment counts a message in the minute in which it handles it.
    until = (math.floor(ended / _MINUTE) + 2) * _MINUTE
    return LastDelivery(plan, int(delivered.report.get("acknowledged") or 0), since, until)


def _raise_if_running(store: Store, stream: Stream, now: float) -> None:
    """Raise where a run holds the stream's claim now."""
    for name in objects_of(store.names(stream.folder), "claim")[-1:]:
        claim = Claim.from_json(store.get(f"{stream.folder}/{name}") or b"")
        if claim is not None and not claim.released and claim.expires_at > now:
            raise ClaimHeldError(stream.destination.segment_conn_id, claim.holder, timestamp(claim.expires_at))


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
