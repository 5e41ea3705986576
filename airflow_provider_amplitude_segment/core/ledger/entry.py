"""The entries of a ledger: the plan before a delivery, its journal, and the commit after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.core.ledger.event_columns import EventJournal, EventTerms
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection


@dataclass(frozen=True, slots=True)
class TraitOrigin:
    """The task that named the trait key of an entry, and how (ADR 0020).

    Attributes:
        task: the DAG and the task, as in ``Run.task``.
        template: ``trait_name`` of that task.
        dag_run: the DAG run that named it, as in ``Run.dag_run``.
        run_key: the task instance that named it.
        installation: the Airflow of that task, as in ``Run.installation``; empty where the entry does not hold it.
        airflow: that Airflow, for a reader.
    """

    task: str
    template: str
    dag_run: str
    run_key: str
    installation: str = ""
    airflow: str = ""


PlanMode = Literal["incremental", "full", "retire"]
"""What made a plan: a sync in either mode, or a retirement."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the ledger, with the size and checksum that its entry states."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that a run is about to deliver, and what it starts from.

    Attributes:
        generation: ``n`` of ``plan-n.json``: the claim that it was made under.
        plan_id: random; part of every message ID.
        run_key: the run that made it.
        export_request_id: the export that it delivers.
        fingerprint: differs when the parameters behind the plan differ.
        mode: ``incremental``, ``full`` or ``retire``.
        trait: the current trait key.
        timestamp: when it was made; later than that of the plan before, unless a wrong clock dated that one.
        planned: number of changes.
        counts: the report's counts of it, by the report's field names.
        changes: Parquet ``trait, user_id, value``, ordered; a change's position is its row number, from 0.
        base: Parquet of the state that it starts from; ``None`` for an empty state.
        segment_conn_id: label of the destination.
        destination: the destination's name.
        key_fingerprint: of the write key that it is sent with.
        proved_key: fingerprint of the write key of the last acknowledged batch before it; empty for none.
        origin: the task that named the trait key; ``None`` for a retirement, after which the key belongs to no task.
        run_label: the run that made it, for a reader; empty where the entry does not hold it.
        approved_by: the person who let it through a guard; ``None`` if no guard stopped it.
        exported_epoch: when the newest membership of this ledger was exported, in seconds since 1970; 0 if unknown.
        events: what the events of its changes are called; ``None``, and absent from the object, where events are off.
    """

    generation: int
    plan_id: str
    run_key: str
    export_request_id: str
    fingerprint: str
    mode: PlanMode
    trait: str
    timestamp: str
    planned: int
    counts: dict[str, int]
    changes: StoredFile
    base: StoredFile | None
    segment_conn_id: str
    destination: str
    key_fingerprint: str
    proved_key: str
    origin: TraitOrigin | None = None
    run_label: str = ""
    approved_by: str | None = None
    exported_epoch: float = 0.0
    events: EventTerms | None = None

    @property
    def delivered_generation(self) -> int:
        """The generation of the newest sync in the ledger: its own."""
        return self.generation


@dataclass(frozen=True, slots=True)
class Commit:
    """The state after a plan was delivered.

    Attributes:
        generation: that of the plan.
        claim: generation of the claim that it was committed under.
        run_key: the run that committed it.
        export_request_id: the export that was delivered; empty where no export was.
        trait: the current trait key.
        timestamp: of the messages in the delivery that ended the plan.
        snapshot: Parquet ``trait, user_id, delivered, in_doubt, rejections``.
        proved_key: fingerprint of the write key of the last acknowledged batch; empty for none.
        segment_conn_id: label of the destination.
        destination: the destination's name.
        report: the destination's report of the sync.
        delivered_generation: of the newest sync in the ledger; lower than its own after a rollback or an erasure.
        origin: that of the plan.
        run_label: the run that committed it, for a reader; empty where the entry does not hold it.
        approved_by: that of the plan; ``None`` after a rollback or an erasure.
        exported_epoch: that of the plan; also after a rollback, because an older membership is never delivered.
        fingerprint: that of the plan; empty where no plan was delivered.
        follows_no_sync: it was written without a delivery, while no sync had ended since the ledger began or since a
            retirement. Absent from the object where it is false.
    """

    generation: int
    claim: int
    run_key: str
    export_request_id: str
    trait: str
    timestamp: str
    snapshot: StoredFile
    proved_key: str
    segment_conn_id: str
    destination: str
    report: dict[str, Any]
    delivered_generation: int
    origin: TraitOrigin | None = None
    run_label: str = ""
    approved_by: str | None = None
    exported_epoch: float = 0.0
    fingerprint: str = ""
    follows_no_sync: bool = False


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a plan is delivered.

    Attributes:
        acked: positions that Segment acknowledged.
        rejected: the rejections, by position.
        events: how far the plan's events are delivered.
    """

    acked: Ranges = field(default_factory=Ranges)
    rejected: Mapping[int, Rejection] = field(default_factory=dict)
    events: EventJournal = field(default_factory=EventJournal)

    def pending(self, planned: int) -> Ranges:
        """Return the positions, of ``planned`` changes, that are neither acknowledged nor rejected."""
        everything = Ranges.of([(0, planned - 1)] if planned else [])
        return everything.without(self.acked.union(Ranges.of_positions(self.rejected)))

    def union(self, other: Journal) -> Journal:
        """Return what is in either journal; an acknowledged position stays so, also where the other rejects it."""
        acked = self.acked.union(other.acked)
        rejected = {**self.rejected, **other.rejected}
        only_rejected = Ranges.of_positions(rejected).without(acked)
        kept = {p: rejected[p] for first, last in only_rejected.pairs for p in range(first, last + 1)}
        return Journal(acked, kept, self.events.union(other.events))
