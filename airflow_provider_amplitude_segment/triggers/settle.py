"""Wait without a worker slot until Segment has processed the last messages."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SegmentSettleTrigger(BaseTrigger):
    """Fire once, after some seconds.

    A triggerer that takes over goes on with the wait until its end. The end is one of the worker's clock, which may be
    wrong, so no triggerer waits for longer than ``seconds``.

    :param seconds: to wait at most, counted from when a triggerer starts this trigger
    :param until: the end, in seconds since 1970-01-01 UTC; ``None``: only ``seconds`` ends the wait
    """

    def __init__(self, seconds: float = 60, until: float | None = None) -> None:
        super().__init__()
        self.seconds = seconds
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments from which a triggerer makes this trigger."""
        arguments = {"seconds": self.seconds, "until": self.until}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event."""
        left = self.seconds if self.until is None else self.until - time.time()
        await asyncio.sleep(max(0.0, min(left, self.seconds)))
        yield TriggerEvent({"status": "settled"})
