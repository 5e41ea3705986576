"""Wait without a worker slot until Segment has processed the last messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SegmentSettleTrigger(BaseTrigger):
    """Fire once, after some seconds.

    They are counted from when a triggerer starts this trigger, because a worker's clock may be wrong. A triggerer that
    takes over starts the count again.

    :param seconds: to wait
    """

    def __init__(self, seconds: float = 60) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments from which a triggerer makes this trigger."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the one event."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({"status": "settled"})
