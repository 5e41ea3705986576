"""Make realistic user IDs, and let members enter and exit cohorts."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

HAZARDS = (
    "007",
    "NULL",
    "O'Brien, Ann",
    'the "boss"',
    "line\nbreak",
    "caf\u00e9@example.com",
    "cafe\u0301@example.com",
    "two  spaces inside",
    "=1+1",
    "back\\slash",
)
"""Valid user IDs that a careless reader of a CSV file changes."""


@dataclass(frozen=True, slots=True)
class Churn:
    """The user IDs that entered and exited."""

    entered: list[str] = field(repr=False)
    exited: list[str] = field(repr=False)


def new_user_ids(count: int, *, seed: str, known: Container[str] = ()) -> list[str]:
    """Make distinct user IDs, the same for the same seed: numbers, leading zeros, e-mails and UUIDs.

    Args:
        count: how many.
        seed: of the random generator.
        known: IDs that are in use already.
    """
    # A seeded generator repeats its results, and no ID here is a secret.
    source = random.Random(seed)  # noqa: S311
    makers = (
        lambda: f"{source.randrange(10**9, 10**10)}",
        lambda: f"{source.randrange(10**7):09d}",
        lambda: f"user{source.randrange(10**9):09d}@example.com",
        lambda: str(uuid.UUID(int=source.getrandbits(128), version=4)),
    )
    made: dict[str, None] = {}
    while len(made) < count:
        user_id = makers[len(made) % len(makers)]()
        if user_id not in known:
            made[user_id] = None
    return list(made)


def move_members(user_ids: Sequence[str], enter: int, leave: int, *, seed: str) -> tuple[Churn, list[str]]:
    """Remove ``leave`` random members and append ``enter`` new ones; the others keep their order.

    Returns:
        The users who entered and exited, and the members after it.

    Raises:
        ValueError: a number is negative, or ``leave`` is larger than the cohort.
    """
    distinct = list(dict.fromkeys(user_ids))
    if enter < 0 or leave < 0 or leave > len(distinct):
        raise ValueError(f"enter={enter}, exit={leave}: the cohort has {len(distinct)} members")
    exited = random.Random(seed).sample(distinct, leave)  # noqa: S311
    known, gone = set(distinct), set(exited)
    entered = new_user_ids(enter, seed=f"{seed}/entered", known=known)
    return Churn(entered, exited), [user_id for user_id in user_ids if user_id not in gone] + entered
