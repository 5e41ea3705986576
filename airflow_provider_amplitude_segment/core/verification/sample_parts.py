"""Count the parts of a sample, and bound the share of users who differ, by each part and of all users.

What could not be read may differ, so it counts as a mismatch in a bound. Suppressed users and users that share a
profile with another value are no mismatch whatever Segment has, so they are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.verification.mismatch_bound import RISK, mismatch_bound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_amplitude_segment.core.verification.profile_check import ProfileCheck


@dataclass(frozen=True, slots=True)
class SamplePart:
    """What is known of a part of a sample.

    Attributes:
        matched: users with the ledger's value.
        mismatches: users with another one.
        unreadable: users that Segment cannot respond for.
        unanswered: users without a final response.
        is_whole: whether the part has all users that it was drawn from.
    """

    matched: int = 0
    mismatches: int = 0
    unreadable: int = 0
    unanswered: int = 0
    is_whole: bool = False

    @property
    def compared(self) -> int:
        """Users whose value could be compared."""
        return self.matched + self.mismatches

    @property
    def ratio(self) -> float | None:
        """The mismatches of those that could be compared."""
        return self.mismatches / self.compared if self.compared else None

    def bound(self, risk: float = RISK) -> float | None:
        """Return the upper bound of the share that differs; ``None`` where it is not known, or no user was compared.

        >>> SamplePart(matched=100, is_whole=True).bound(), SamplePart(matched=1, unreadable=9, is_whole=True).bound()
        (0.0, 0.9)
        >>> round(SamplePart(matched=100).bound(), 4), SamplePart(matched=9, unanswered=1).bound(), SamplePart().bound()
        (0.0295, None, None)
        """
        possible = self.compared + self.unreadable
        if self.unanswered or not possible:
            return None
        worst = self.mismatches + self.unreadable
        return worst / possible if self.is_whole else mismatch_bound(worst, possible, risk)


def count_part(check: ProfileCheck, numbers: Iterable[int], *, is_whole: bool) -> SamplePart:
    """Return what is known of the pairs at some positions."""
    numbers = list(numbers)
    counts = check.count(numbers)
    mismatches = counts["different"] + counts["absent"]
    unanswered = len(numbers) - sum(counts.values())
    return SamplePart(counts["matched"], mismatches, counts["unreadable"], unanswered, is_whole)


def bound_of_all(strata: Sequence[tuple[SamplePart, int]]) -> float | None:
    """Return the upper bound of the share of all users that differ; ``None`` where it is not known.

    Each stratum's bound counts by its users, and the risk is divided among the strata that were sampled. So the sum is
    never too low.

    Args:
        strata: what is known of a part, and how many users it was drawn from.

    >>> bound_of_all([(SamplePart(9, 1, is_whole=True), 10), (SamplePart(30, is_whole=True), 30)])
    0.025
    >>> round(bound_of_all([(SamplePart(250), 1_000), (SamplePart(250), 9_000)]), 4)
    0.0146
    >>> bound_of_all([(SamplePart(), 0)]), bound_of_all([(SamplePart(unanswered=1), 1)])
    (None, None)
    """
    strata = [(part, users) for part, users in strata if users]
    total = sum(users for _, users in strata)
    if not total or any(part.unanswered for part, _ in strata):
        return None
    risk = RISK / max(1, sum(not part.is_whole for part, _ in strata))
    # A sample that is too small has no user of a stratum.
    bounds = [(part.bound(risk), users) for part, users in strata]
    return sum((1.0 if bound is None else bound) * users for bound, users in bounds) / total
