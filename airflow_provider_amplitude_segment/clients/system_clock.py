"""The worker's own clock and random source, which ``core`` takes as arguments."""

from __future__ import annotations

import concurrent.futures
import random
import secrets
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection
    from concurrent.futures import Future


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

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:
        """Return when one of the futures is done, at the latest after ``seconds``."""
        concurrent.futures.wait(futures, seconds, return_when=concurrent.futures.FIRST_COMPLETED)


class SystemRandomSource:
    """The machine's randomness."""

    def random(self) -> float:
        """Return a number in [0, 1)."""
        return random.random()  # noqa: S311 - jitter of a wait is no secret

    def token(self) -> str:
        """Return 32 random hexadecimal digits."""
        return secrets.token_hex(16)
