"""The events of a history: whether its syncs send any, and what a journey may have received of them at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.plan.diff import REJECTIONS_BEFORE_WAITING
from faults.process import Accident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.settings import EventsPolicy, SyncSettings
    from faults.process import Process
    from faults.verdict import Finding
    from faults.world import World

_POLICIES: tuple[EventsPolicy, ...] = ("off", "at-most-once", "at-most-once", "at-least-once")
_ENDS = ("kill", "kill", "kill", "stop", "late batch", "time-out after effect", "execution time-out")
ENTERED, EXITED = "Cohort Entered", "Cohort Exited"


class Journeys:
    """One history's events. Where they are on, tries end between their batches more often."""

    def __init__(self, random: Random, policies: Random, world: World, count: Callable[[str, int], None]) -> None:
        self.policy = random.choice(_POLICIES)
        self._policies = policies
        self._has_first_events = policies.random() < 0.7
        self._committed: set[str] = set()
        self._has_changed_policy = False
        # By destination: how often each user may have received each event before the policy that is in force.
        self._before: dict[str, dict[str, Counter[str]]] = {}
        self._findings: list[Finding] = []
        self._random = random
        self._world = world
        self._count = count
        self._ordered: list[Accident] = []
        self._first_name = world.cohort.name
        self._members: set[str] = set()
        # How often each user truly entered and exited.
        self._moves: dict[str, Counter[str]] = {ENTERED: Counter(), EXITED: Counter()}
        # Every sync was incremental, so each entry and exit has an event.
        self._is_incremental = True
        self.note_moves()

    def note_moves(self) -> None:
        """Count who entered and exited since the last call."""
        members = {user for user in self._world.cohort.user_ids if user}
        self._moves[ENTERED].update(members - self._members)
        self._moves[EXITED].update(self._members - members)
        self._members = members

    def change_policy(self, *, is_quiet: bool) -> None:
        """Draw another policy, while no task of the one before can send."""
        if not is_quiet or self._policies.random() > 0.1:
            return
        self._findings += self._judge_policy()
        self.policy = self._policies.choice(_POLICIES)
        self._has_changed_policy = True
        self._count("events: another policy", 1)
        for destination in self._world.keys:
            received = self._received(destination)
            # What one policy sent more often than the user moved is no fault of the next one.
            self._before[destination.name] = {
                event: Counter({user: times[event] - self._moves[event][user] for user, times in received.items()})
                for event in (ENTERED, EXITED)
            }

    def settings(self, settings: SyncSettings) -> SyncSettings:
        """Return a sync's settings with the history's events."""
        self._is_incremental &= settings.sync_mode == "incremental" and self._world.cohort.name == self._first_name
        return replace(
            settings, events=self.policy, events_on_first_sync=self.policy != "off" and self._has_first_events
        )

    def accidents(self) -> list[Accident]:
        """Draw what happens to a try at its first batches; in most histories, the second is the first of events."""
        self._ordered = []
        if self.policy == "off" or self._random.random() < 0.3:
            return []
        # Beside the weather, so that a seed's other draws stay as they were.
        what, place = self._random.choice(_ENDS), self._random.choice([d.name for d in self._world.keys])
        is_within = what in {"late batch", "time-out after effect"}
        after = not is_within and self._random.random() < 0.5
        kind, number = self._random.choice((("batch", 1), ("batch", 2), ("batch", 2), ("batch", 2), ("journal", 2)))
        self._ordered = [Accident(what, number, "batch" if is_within else kind, after, place)]
        return self._ordered

    def note_end(self, process: Process) -> None:
        """Count the accidents that were drawn for a try and happened."""
        for accident in self._ordered:
            if accident not in process.accidents:
                self._count(f"events: {accident.what}", 1)
        self._ordered = []

    def judge_first_sync(self) -> Iterator[Finding]:
        """Hold a journey against a first sync, which sends no event unless asked; tries before it end without one."""
        for destination in self._world.keys:
            if destination.name in self._committed:
                continue
            if not self._has_first_events and (received := self._received(destination)):
                yield "events", f"{destination.name}: a first sync sent events of {sorted(received)}"
            if self._world.has_commit(destination):
                self._committed.add(destination.name)

    def judge_at_most_once(self) -> Iterator[Finding]:
        """Hold what each journey received against how often its user moved."""
        for destination in self._world.keys:
            times = sum(sum(received.values()) for received in self._received(destination).values())
            self._count(f"events {self.policy} received", times)
        yield from self._findings
        yield from self._judge_policy()

    def _judge_policy(self) -> Iterator[Finding]:
        """Hold what was received while the policy was in force against it."""
        for destination in self._world.keys if self.policy != "at-least-once" else ():
            before = self._before.get(destination.name, {ENTERED: Counter(), EXITED: Counter()})
            for user, received in self._received(destination).items():
                for event, times in received.items():
                    # An export whose request a wrong clock dated lets an older set through once: there and back.
                    moves = self._moves[event][user] + len(self._world.book.misdated)
                    allowed = moves + max(0, before[event][user])
                    is_unasked = self.policy == "off" and not self._has_changed_policy
                    if is_unasked or times > allowed:
                        yield "events", f"{destination.name}: {user!r} {event} {times} of {allowed}"

    def judge_at_least_once(self, spared: set[str]) -> Iterator[Finding]:
        """Hold each member and each former one against their journeys, where every move has an event.

        ``spared`` are users to whom nothing could be delivered, and those whose messages were lost behind a 200.
        """
        for destination, key in self._world.keys.items() if self.policy == "at-least-once" else ():
            segment, received = self._world.sandbox.segment, self._received(destination)
            traits = list(segment.trait_counts(key))
            if not self._is_incremental or len(traits) != 1 or self._has_changed_policy or not self._has_first_events:
                continue
            states = self._world.state(destination)
            waiting = {user for (_, user), (_, _, times) in states.items() if times >= REJECTIONS_BEFORE_WAITING}
            members = segment.believes(key, traits[0]) - spared - waiting
            left = segment.disbelieves(key, traits[0]) - spared - waiting
            missing = {user for user in members if not received.get(user, Counter())[ENTERED]}
            missing |= {u for u in left if received.get(u, Counter())[ENTERED] and not received[u][EXITED]}
            if missing:
                yield "events", f"{destination.name}: no event of {sorted(missing)} has arrived"

    def _received(self, destination: Destination) -> dict[str, Counter[str]]:
        journeys = self._world.sandbox.segment.journeys(self._world.keys[destination])
        return {user: Counter(event.event for event in events) for user, events in journeys.items()}
