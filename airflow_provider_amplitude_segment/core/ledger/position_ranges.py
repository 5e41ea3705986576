"""Ranges of positions in a plan's changes, such as those acknowledged or pending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Ranges:
    """Sorted, disjoint, inclusive ranges of positions; positions start at 0.

    >>> Ranges.of([(5, 9), (0, 2), (3, 3)])
    Ranges(pairs=((0, 3), (5, 9)))
    """

    pairs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> Self:
        """Return the union of inclusive ``(first, last)`` pairs, in any order; pairs may overlap.

        Raises:
            ValueError: a pair is no range of positions.
        """
        merged: list[tuple[int, int]] = []
        for first, last in sorted(pairs):
            if not 0 <= first <= last:
                raise ValueError(f"{first} to {last} is no range of positions")
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def of_positions(cls, positions: Iterable[int]) -> Self:
        """Return the ranges of positions, each of which is given once.

        >>> Ranges.of_positions([4, 1, 2])
        Ranges(pairs=((1, 2), (4, 4)))
        """
        ordered = sorted(positions)
        if ordered and ordered[-1] - ordered[0] + 1 == len(ordered):
            return cls(((ordered[0], ordered[-1]),))
        return cls.of((position, position) for position in ordered)

    def union(self, *others: Ranges) -> Ranges:
        """Return the positions in any of the ranges."""
        return Ranges.of(pair for ranges in (self, *others) for pair in ranges.pairs)

    def without(self, others: Ranges) -> Ranges:
        """Return the positions that are not in ``others``.

        >>> Ranges.of([(0, 9)]).without(Ranges.of([(0, 1), (5, 5), (9, 12)]))
        Ranges(pairs=((2, 4), (6, 8)))
        """
        left: list[tuple[int, int]] = []
        taken = iter(others.pairs)
        hole = next(taken, None)
        for first, last in self.pairs:
            start = first
            while hole is not None and hole[1] < start:
                hole = next(taken, None)
            while hole is not None and hole[0] <= last:
                if start < hole[0]:
                    left.append((start, hole[0] - 1))
                start = max(start, hole[1] + 1)
                if hole[1] > last:
                    break
                hole = next(taken, None)
            if start <= last:
                left.append((start, last))
        return Ranges(tuple(left))

    def split(self, count: int) -> tuple[Ranges, Ranges]:
        """Return the first ``count`` positions (all where there are fewer), and the rest.

        >>> Ranges.of([(0, 3), (5, 9)]).split(6)
        (Ranges(pairs=((0, 3), (5, 6))), Ranges(pairs=((7, 9),)))
        """
        left: list[tuple[int, int]] = []
        for number, (first, last) in enumerate(self.pairs):
            if count <= last - first:
                taken = [(first, first + count - 1)] if count else []
                return Ranges((*left, *taken)), Ranges(((first + count, last), *self.pairs[number + 1 :]))
            left.append((first, last))
            count -= last - first + 1
        return self, Ranges()

    @property
    def count(self) -> int:
        """The number of positions.

        >>> Ranges.of([(0, 3), (5, 9)]).count
        9
        """
        return sum(last - first + 1 for first, last in self.pairs)
