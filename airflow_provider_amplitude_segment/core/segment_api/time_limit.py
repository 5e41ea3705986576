"""A limit of time for several requests together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeLimit:
    """Ends a chain of requests: none begins after its time, and the last one is left when its time is over.

    Args:
        monotonic: Seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ends_at = math.inf

    def begin(self, seconds: float) -> None:
        """Let the requests from now on take so many seconds together."""
        self._ends_at = self._monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, not below 0; infinitely many before ``begin``."""
        return max(0.0, self._ends_at - self._monotonic())

    def check(self) -> None:
        """Call before each request, and while its response comes.

        Raises:
            TimeoutError: The time is over.
        """
        if self._monotonic() > self._ends_at:
            raise TimeoutError
