"""User IDs as companies make them, and cohorts whose members come and go."""

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
"""Valid user IDs that careless readers of a CSV file change."""


@dataclass(frozen=True, slots=True)
class Churn:
    """Who moved."""

    entered: list[str] = field(repr=False)
    exited: list[str] = field(repr=False)


def new_user_ids(count: int, *, seed: str, known: Container[str] = ()) -> list[str]:
    """Make distinct user IDs, the same for the same seed: numbers, leading zeros, e-mails and UUIDs.

    Args:
        count: how many.
        seed: what they are drawn from.
        known: IDs that are taken already.
    """
    # A seeded generator is wanted: nothing here is a secret.
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
    """Take ``leave`` members out at random and append ``enter`` new ones; the rest keep their order.

    Returns:
        Who moved, and the members after it.

    Raises:
        ValueError: a negative number, or more are to leave than there are.
    """
    distinct = list(dict.fromkeys(user_ids))
    if enter < 0 or leave < 0 or leave > len(distinct):
        raise ValueError(f"enter={enter}, exit={leave}: the cohort has {len(distinct)} members")
    exited = random.Random(seed).sample(distinct, leave)  # noqa: S311
    known, gone = set(distinct), set(exited)
    entered = new_user_ids(enter, seed=f"{seed}/entered", known=known)
    return Churn(entered, exited), [user_id for user_id in user_ids if user_id not in gone] + entered
