"""The lookout: telling goes on only while the claim was looked at a moment ago.

A worker may be paused for minutes (a suspended machine, a frozen container) and wake with batches in its hands that
another run has told otherwise since. So each batch asks first, and waits until the claim was seen within the last
second (design 4, rule 5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import StateUnavailableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.core.clock import Clock

LOOK_SECONDS = 0.5
"""How often the claims are looked at while telling."""

_FRESH_SECONDS = 1.0
_SLOWEST_LOOK_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.02


class Lookout:
    """Remembers when the claim was last seen unbroken; one thread looks, the others ask.

    A place that takes longer than a second to answer is looked at without a pause, and a look counts as fresh for
    twice its own time more. That is far below a claim's life, after which another run may take over.
    """

    def __init__(self, look: Callable[[], None], clock: Clock) -> None:
        """Take ``look``, which raises where the claim is lost."""
        self._look = look
        self._clock = clock
        self._seen = (float("-inf"), float("-inf"))
        self._fresh_seconds = _FRESH_SECONDS

    def look(self) -> None:
        """Look now; whatever it raises ends the telling.

        Raises:
            StateUnavailableError: the place answers too slowly to see a rival in time.
        """
        # The time before the look: a look that was paused half way has seen what stood then.
        began = (self._clock.monotonic(), self._clock.now())
        self._look()
        took = self._clock.monotonic() - began[0]
        if took > _SLOWEST_LOOK_SECONDS:
            raise StateUnavailableError("(claims)", f"it took {took:.0f} s to list the claims")
        self._fresh_seconds = _FRESH_SECONDS + 2 * took
        self._seen = began

    def look_if_due(self) -> bool:
        """Look where the last look is half a second old; return whether it was."""
        if self._clock.monotonic() - self._seen[0] < LOOK_SECONDS:
            return False
        self.look()
        return True

    def wait_until_fresh(self, halt: threading.Event) -> bool:
        """Return ``True`` as soon as the last look is fresh, ``False`` when told to halt."""
        while not self._is_fresh():
            if self._clock.wait(_ASK_AGAIN_SECONDS, halt):
                return False
        return not halt.is_set()

    def _is_fresh(self) -> bool:
        # Of the two clocks one stands still while the machine is suspended, the other may be set.
        monotonic, wall = self._seen
        return (
            self._clock.monotonic() - monotonic < self._fresh_seconds
            and abs(self._clock.now() - wall) < self._fresh_seconds
        )
