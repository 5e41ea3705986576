"""What moves between two syncs: users, the cohort's name, the settings of its trait, and whom Segment refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from faults.world import World

ODD_USERS = ("007", "NULL", "O'Brien, Ann", 'the "boss"', "line\nbreak", "cafe\u0301", "caf\u00e9", " two  spaces ")
ANCHORS = ("anchor-1", "anchor-2")
"""Somebody healthy is always a member: a first sync of refused users alone is taken for a bad key."""

_NAMES = ("Power Users", "Power Users", "Big {spenders}", "Héavy, 'users'")
_TEMPLATES = ("{cohort_name} ({cohort_id})", "[Amplitude] {cohort_name} ({cohort_id})")


class CohortMoves:
    """Moves a history's users.

    Attributes:
        for_good: users whom Segment refuses until the history's end.
    """

    def __init__(self, random: Random, world: World, users: list[str], count: Callable[[str, int], None]) -> None:
        self._random = random
        self._world = world
        self._users = users
        self._count = count
        self.for_good: set[str] = set()

    def move_users(self) -> None:
        """Let some users enter and leave; a few who move often flip in and out."""
        draw, cohort = self._random, self._world.cohort
        movers = set(draw.sample(self._users, draw.randint(0, max(1, len(self._users) // 4))))
        movers |= {user for user in self._users[:3] if draw.random() < 0.5}
        members = set(cohort.user_ids)
        cohort.user_ids = [
            *ANCHORS[: draw.randint(1, 2)],
            *(user for user in self._users if (user in members) != (user in movers)),
        ]

    def change_cohort(self, settings: SyncSettings) -> SyncSettings:
        """Change the cohort and whom Segment refuses; return the settings, which may have changed too."""
        draw, cohort, segment = self._random, self._world.cohort, self._world.sandbox.segment
        if draw.random() < 0.2:
            cohort.name = draw.choice(_NAMES)
        if draw.random() < 0.1:
            settings = replace(settings, trait_name=draw.choice(_TEMPLATES))
        if draw.random() < 0.1:
            settings = replace(settings, on_trait_change=draw.choice(("retire", "retire", "keep")))
        cohort.anonymous, cohort.duplicates = draw.choice((0, 0, 2)), draw.choice((0, 0, 3))
        cohort.gzip, cohort.delivery = draw.random() < 0.3, draw.choice(("inline", "storage"))
        cohort.ready_after_polls = draw.choice((0, 0, 1, 3))
        if draw.random() < 0.25:
            poisoned = set(draw.sample(self._users, draw.randint(1, 4)))
            for_good = draw.random() < 0.3
            self.for_good |= poisoned if for_good else set()
            segment.poisoned |= poisoned
            self._count("poisoned users for good" if for_good else "poisoned users for a time", len(poisoned))
        elif draw.random() < 0.4:
            segment.poisoned = set(self.for_good)
        return settings

    def lose_silently(self, random: Random) -> None:
        """Let Segment lose some users' messages behind a 200 for a while, or no longer.

        Only with one destination, because Segment loses the users of all, and a verification asks for those of one.
        """
        lost = self._world.lost
        if lost and random.random() < 0.4:
            lost.clear()
        elif len(self._world.keys) == 1 and random.random() < 0.2:
            lost.update(random.sample(self._users, random.randint(1, 4)))
