"""The worker's own clock and random source, which ``core`` takes as arguments."""

from __future__ import annotations

import random
import secrets
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


class SystemClock:
    """The machine's time."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def wait(self, seconds: float, until: threading.Event) -> bool:
        """Sleep, or return early with ``True`` when ``until`` is set."""
        return until.wait(seconds)


class SystemRandomSource:
    """The machine's randomness."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return random.random()  # noqa: S311 - jitter of a wait is no secret

    def token(self) -> str:
        """Return 32 random hexadecimal digits."""
        return secrets.token_hex(16)
