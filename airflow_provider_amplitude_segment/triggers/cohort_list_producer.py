"""One poll of the list of cohorts for all watchers of a connection, on Airflow 3.3 and later.

Airflow calls ``advance`` after it has stored the events that the watchers made of a list. Only then is it stored that
they have seen it. A triggerer that is killed in between makes these events again, and loses none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

try:
    from airflow.triggers.shared_stream import SharedStreamProducer
except ImportError:  # earlier lines share no poll, and make no producer
    SharedStreamProducer = object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_provider_amplitude_segment.triggers.cohort_list import CohortListPoll, SharedList

# When a triggerer starts, its watchers join one after another. One that joins after the first list waits for the next.
_JOIN_SECONDS = 2.0


class CohortListProducer(SharedStreamProducer):
    """Polls for all watchers, and stores what each has seen once its events are stored."""

    def __init__(self, poll: CohortListPoll) -> None:
        self.poll = poll

    async def open_stream(self) -> AsyncIterator[tuple[SharedList, SharedList]]:
        """Yield each list, twice: for the watchers, and for ``advance``."""
        await self.poll.sleep(_JOIN_SECONDS)
        async for shared in self.poll.lists():
            yield shared, shared

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Store what the watchers have seen; of several lists, the last one's. It raises nothing.

        A list that failed for one watcher is passed over for all, because the counts do not say for which: the next
        list stores what the others have seen, and the failed one starts again from its store.
        """
        savers = {
            watcher: save
            for item in batch
            if not item.outcome.failed
            for watcher, save in item.broker_payload.savers.items()
        }
        await asyncio.gather(*(save() for save in savers.values()))
