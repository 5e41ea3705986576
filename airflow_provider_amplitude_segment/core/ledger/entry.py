"""The entries of a ledger: the plan of what is about to be told, and the commit of what was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TraitOrigin:
    """Which task named the trait key of an entry, and how (ADR 0020).

    Attributes:
        task: the DAG and the task, as ``Run.task`` has it.
        template: ``trait_name`` of that task.
        dag_run: the DAG run in which it did, as ``Run.dag_run`` has it.
        run_key: the task instance that did.
        installation: the Airflow of that task, as ``Run.installation`` has it; empty in an entry of before it was kept.
        airflow: that Airflow, for a reader.
    """

    task: str
    template: str
    dag_run: str
    run_key: str
    installation: str = ""
    airflow: str = ""


PlanMode = Literal["incremental", "full", "retire"]
"""How a plan came about: by a sync of either mode, or by a retirement."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the ledger as the entry that names it promises it."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is about to be told, and to whom it was decided.

    Attributes:
        generation: ``n`` of ``plan-n.json``: the claim under which it was made.
        plan_id: random; part of every message ID.
        run_key: the run that made it.
        export_request_id: the export it tells.
        fingerprint: differs when parameters that make the plan differ.
        mode: ``incremental``, ``full`` or ``retire``.
        trait: the current trait key.
        timestamp: when it was made; later than the plan's before, unless that is of a bad clock.
        planned: number of changes.
        counts: what the report tells of it, by the report's names.
        changes: Parquet ``trait, user_id, value``, ordered; a change's position is its row number from 0.
        base: Parquet of the state it starts from; ``None`` for an empty one.
        segment_conn_id: label of the destination.
        destination: the destination's name.
        key_fingerprint: of the write key it is told with.
        proved_key: fingerprint of a write key that Segment acknowledged something with before; empty for none.
        origin: which task named the trait key; ``None`` for a retirement, after which it belongs to none.
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

    @property
    def delivered_generation(self) -> int:
        """The generation of the newest sync that it knows of: its own."""
        return self.generation


@dataclass(frozen=True, slots=True)
class Commit:
    """The state after a plan was told to its end.

    Attributes:
        generation: that of the plan.
        claim: generation of the claim under which it was committed.
        run_key: the run that committed it.
        export_request_id: the export that Segment knows now.
        trait: the current trait key.
        timestamp: that of the messages of the delivery that ended the plan.
        snapshot: Parquet ``trait, user_id, told, in_doubt, refused``.
        proved_key: fingerprint of the write key that Segment acknowledged something with most lately; empty for none.
        segment_conn_id: label of the destination.
        destination: the destination's name.
        report: the destination's report of the sync.
        delivered_generation: of the newest sync that it knows of; lower than its own where no sync led to it.
        origin: that of the plan.
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


@dataclass(frozen=True, slots=True)
class Rejection:
    """A change that Segment, or a limit of Segment's, refused for good."""

    position: int
    status: int | None
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Journal:
    """How far a plan was told.

    Attributes:
        acked: positions that Segment acknowledged.
        refused: by position.
    """

    acked: Ranges = field(default_factory=Ranges)
    refused: Mapping[int, Rejection] = field(default_factory=dict)

    def pending(self, planned: int) -> Ranges:
        """Return the positions of a plan of ``planned`` changes that are neither acknowledged nor refused."""
        everything = Ranges.of([(0, planned - 1)] if planned else [])
        return everything.without(self.acked.union(Ranges.of_positions(self.refused)))

    def union(self, other: Journal) -> Journal:
        """Return what either knows; what one says is acknowledged, no refusal of the other undoes."""
        acked = self.acked.union(other.acked)
        refused = {**self.refused, **other.refused}
        truly = Ranges.of_positions(refused).without(acked)
        kept = {p: refused[p] for first, last in truly.pairs for p in range(first, last + 1)}
        return Journal(acked, kept)
