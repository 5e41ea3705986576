"""Hold the settings of one sync after they were read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


SyncMode = Literal["incremental", "full"]
EmptyCohortPolicy = Literal["fail", "sync", "skip"]
TraitChangePolicy = Literal["retire", "keep", "take-over"]
RejectedPolicy = Literal["fail", "warn"]
MissingStatePolicy = Literal["fail", "full"]
GuardPolicy = Literal["fail", "ask"]
EventsPolicy = Literal["off", "at-most-once", "at-least-once"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """The operator's parameters of the same names, which the operator documents.

    ``poll_interval``, ``export_timeout`` and ``approval_timeout`` are seconds. ``None`` as ``max_exit_ratio`` or
    ``events_per_second`` means no limit.
    ``approvers`` are empty where everyone who may edit the DAG run may answer.
    ``user_properties`` are sorted and distinct.
    ``events`` is the operator's parameter in words; ``entered_event`` and ``exited_event`` are its ``event_names``.
    ``keep_snapshots`` is ``[amplitude_segment] keep_snapshots``: of how many syncs a ledger keeps the commits.
    ``run_configuration`` is the DAG run's; a guard's error shows it with the entry that lets the sync through.
    """

    cohort_id: str
    sync_mode: SyncMode = "incremental"
    trait_name: str = "{cohort_name} ({cohort_id})"
    on_trait_change: TraitChangePolicy = "retire"
    max_exit_ratio: float | None = 0.5
    on_empty_cohort: EmptyCohortPolicy = "fail"
    on_guard: GuardPolicy = "fail"
    approvers: tuple[str, ...] = ()
    approval_timeout: float = 86_400.0
    on_rejected: RejectedPolicy = "fail"
    on_missing_state: MissingStatePolicy = "fail"
    dry_run: bool = False
    skip_when_unchanged: bool = False
    min_exports_left: int = 0
    events_per_second: float | None = 1000.0
    max_concurrent_requests: int = 4
    segment_context: Mapping[str, Any] | None = None
    integrations: Mapping[str, Any] | None = None
    user_properties: tuple[str, ...] = ()
    events: EventsPolicy = "off"
    entered_event: str = "Cohort Entered"
    exited_event: str = "Cohort Exited"
    events_on_first_sync: bool = False
    poll_interval: float = 10.0
    export_timeout: float = 3600.0
    keep_snapshots: int = 5
    run_configuration: Mapping[str, Any] = field(default_factory=dict)
