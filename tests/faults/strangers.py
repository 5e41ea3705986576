"""Strangers: who else uses the ledgers of a history, beside the runs of its one task.

Another Airflow that is configured alike runs the same DAG run; a second process runs one try; a second task, or the
same task in another Airflow, sends the same cohort under a trait key of its own. They meet no accidents.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.stream import Run
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, TraitConflictError
from faults.attempt import Attempt

if TYPE_CHECKING:
    from random import Random

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from faults.verdict import Finding
    from faults.world import World

_TASK = "DAG 'daily', task 'sync'"
_OTHER_TASK = "DAG 'weekly', task 'send'"
_OTHER_TEMPLATE = "Weekly: {cohort_name}"

_AIRFLOW, _OTHER_AIRFLOW = "blue", "green"

SAME_RUN, SAME_TRY, OTHER_TRAIT = "another Airflow's same run", "second process of one try", "second task's trait"
OTHER_AIRFLOWS_TRAIT = "another Airflow's trait"
OTHER_TRAITS = (OTHER_TRAIT, OTHER_AIRFLOWS_TRAIT)


def run_of(key: str) -> Run:
    """Return the first try of a run of the history's own task."""
    started_at = f"start of {key}"
    return Run(f"run {key}", key, 1, started_at=started_at, dag_run=key, task=_TASK, installation=_AIRFLOW)


@dataclass(frozen=True, slots=True)
class Stranger:
    """One attempt of a stranger, and the newest entries that it found."""

    kind: str
    attempt: Attempt
    found: dict[Destination, Plan | Commit | None]
    is_let_through: bool = False

    def survived(self) -> str | None:
        """Return what was survived, if anything."""
        outcome = self.attempt.outcome
        if isinstance(outcome, TraitConflictError):
            return f"{self.kind} refused"
        if isinstance(outcome, ClaimHeldError) and self.kind not in OTHER_TRAITS:
            return f"{self.kind} kept out"
        if self.kind in OTHER_TRAITS and self.is_let_through and self.attempt.has_succeeded:
            return f"{self.kind} let through"
        return None


class Strangers:
    """Draws strangers into a history, and holds against them what they should not have done."""

    def __init__(self, random: Random, world: World) -> None:
        self._random = random
        self._world = world
        self._number = 0

    def twin_of(self, owner: Attempt, settings: SyncSettings) -> Stranger:
        """Return the same run of another Airflow, or a second process of the same try."""
        self._number += 1
        kind = SAME_RUN if self._random.random() < 0.7 else SAME_TRY
        run = owner.run
        if kind == SAME_RUN:
            run = replace(run, started_at="another moment", try_number=self._random.randint(1, 4))
        attempt = Attempt(self._world, run, settings, [], who=f"{run.key}~{self._number}", from_files=owner.from_files)
        return Stranger(kind, attempt, self._newest())

    def other_task(self, settings: SyncSettings) -> Stranger:
        """Return a task with another template, which is the same one in another Airflow half of the time.

        Seldom it replaces the first one.
        """
        self._number += 1
        is_let_through = self._random.random() < 0.3
        policy = "take-over" if is_let_through else "retire"
        own = replace(settings, trait_name=_OTHER_TEMPLATE, on_trait_change=policy)
        run = run_of(f"o{self._number}")
        # By its number, so that a seed's other draws stay as they were.
        kind = OTHER_TRAITS[self._number % 2]
        run = replace(run, task=_OTHER_TASK) if kind == OTHER_TRAIT else replace(run, installation=_OTHER_AIRFLOW)
        return Stranger(kind, Attempt(self._world, run, own, []), self._newest(), is_let_through)

    def is_replaced(self) -> bool:
        """Whether a second task named the trait of a destination last."""
        origins = [entry.origin for entry in self._newest().values() if entry is not None]
        return any(origin is not None and origin.template == _OTHER_TEMPLATE for origin in origins)

    def judge(self, stranger: Stranger) -> list[Finding]:
        """Hold it against a task that it retired another one's trait, although nobody let it through."""
        if stranger.is_let_through:
            return []
        return [
            ("traits", f"{newest.origin} retired {earlier.trait!r}, the trait of {earlier.origin}")
            for destination, newest in self._newest().items()
            if (earlier := stranger.found[destination]) is not None
            and newest is not None
            and newest.generation > earlier.generation
            and newest.origin is not None
            and earlier.origin is not None
            and (newest.origin.task, newest.origin.installation) != (earlier.origin.task, earlier.origin.installation)
            # With one template, another key is another name of the cohort.
            and newest.origin.template != earlier.origin.template
            and newest.trait != earlier.trait
        ]

    def _newest(self) -> dict[Destination, Plan | Commit | None]:
        return {destination: self._world.newest(destination) for destination in self._world.keys}
