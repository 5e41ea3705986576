"""Bound the mismatch rate of all users by that of a sample."""

from __future__ import annotations

import math

RISK = 0.05
"""That the rate is above its bound."""

_STEPS = 60


def mismatch_bound(mismatches: int, compared: int, risk: float = RISK) -> float:
    """Return the one-sided upper bound of a rate, after Clopper and Pearson; at 95 % if ``risk`` is not given.

    It is the rate at which a sample shows so few mismatches in 5 % of all cases (``risk``)
    (https://doi.org/10.1093/biomet/26.4.404). Without a mismatch it is about 3 divided by the size of the sample. It
    holds for any size, and is never too low, unlike Wilson's.

    Args:
        mismatches: in a sample of which each user was drawn with the same probability.
        compared: size of the sample.
        risk: that the rate is above the bound.

    >>> [round(mismatch_bound(0, compared), 4) for compared in (1, 100, 1000)]
    [0.95, 0.0295, 0.003]
    >>> round(mismatch_bound(50, 1000), 4), mismatch_bound(5, 5), mismatch_bound(0, 0)
    (0.0629, 1.0, 1.0)
    """
    if mismatches >= compared:
        return 1.0
    low, high = mismatches / compared, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_most(mismatches, compared, middle) > risk:
            low = middle
        else:
            high = middle
    return high


def _at_most(mismatches: int, compared: int, rate: float) -> float:
    """Return the probability of at most so many mismatches; from the largest term down, while terms count."""
    term = (
        math.exp(
            math.lgamma(compared + 1)
            - math.lgamma(mismatches + 1)
            - math.lgamma(compared - mismatches + 1)
            + mismatches * math.log(rate)
            + (compared - mismatches) * math.log1p(-rate)
        )
        if 0 < rate < 1
        else float(rate <= 0)
    )
    total = 0.0
    for count in range(mismatches, -1, -1):
        total += term
        if not 0 < rate < 1 or term < total * 1e-17:
            break
        term *= count / (compared - count + 1) * (1 - rate) / rate
    return total
