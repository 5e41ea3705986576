"""Poll Amplitude's list of cohorts for as long as a watcher lives, and wait out what goes wrong.

As in ``triggers/amplitude.py``, what blocks leaves the triggerer's loop through ``sync_to_async``, and requests run in
threads of this module, so that a silent server holds up no other trigger.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgiref.sync import sync_to_async

from airflow_provider_amplitude_segment.core.export.cohort_change import poll_gap_seconds
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.triggers.amplitude import keep_cancel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_provider_amplitude_segment.core.export.cohort import Cohort

log = logging.getLogger(__name__)

_LISTS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="amplitude-cohort-list")


@dataclass(frozen=True, slots=True, eq=False)
class SharedList:
    """One list of cohorts, for one watcher or several.

    Attributes:
        cohorts: as listed.
        read_at: when; epoch seconds.
        savers: by watcher, what stores that it has seen this list. A watcher adds its own when it takes the list.
    """

    cohorts: tuple[Cohort, ...]
    read_at: float
    savers: dict[int, Callable[[], Awaitable[None]]] = field(default_factory=dict)


async def read_list(amplitude_conn_id: str) -> tuple[Cohort, ...]:
    """Return the list of cohorts by one request.

    The connection is read each time, so a watcher takes over a changed key, and no connection to Amplitude is kept
    open between two polls.
    """
    # It blocks: it reads the connection, masks its keys and loads certificates.
    client = await keep_cancel(sync_to_async(AmplitudeHook(amplitude_conn_id).get_conn)())
    try:
        return await keep_cancel(sync_to_async(client.list_cohorts, thread_sensitive=False, executor=_LISTS)(retries=0))
    finally:
        client.close()


@dataclass(slots=True)
class CohortListPoll:
    """One poll of one connection's list, for ever.

    Attributes:
        amplitude_conn_id: the connection's ID.
        poll_interval: seconds from the end of one request to the beginning of the next.
        read: reads the list once.
        sleep: how to wait; seconds.
        now: a clock that only grows; seconds. It dates the end of an outage in the log.
        epoch: the time of day; epoch seconds. It dates a list.
    """

    amplitude_conn_id: str
    poll_interval: float
    read: Callable[[str], Awaitable[tuple[Cohort, ...]]] = read_list
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    now: Callable[[], float] = time.monotonic
    epoch: Callable[[], float] = time.time

    async def lists(self) -> AsyncIterator[SharedList]:
        """Yield each list that Amplitude returns. This never ends and never raises, except for a cancel.

        An outage is logged once, with what to do, and again where its kind changes; its end is logged too.
        """
        failures, kind, began = 0, "", 0.0
        while True:
            try:
                cohorts = await self.read(self.amplitude_conn_id)
            except Exception as error:  # noqa: BLE001 - a watcher that ends watches no more
                failures += 1
                began = began if failures > 1 else self.now()
                kind = self._log_if_new(error, kind)
            else:
                if failures:
                    log.info(
                        "Connection %r: Amplitude lists the cohorts again after %.0f s. Changes make events now.",
                        self.amplitude_conn_id,
                        self.now() - began,
                    )
                failures, kind = 0, ""
                yield SharedList(cohorts, self.epoch())
            await self.sleep(poll_gap_seconds(self.poll_interval, failures))

    def _log_if_new(self, error: Exception, kind: str) -> str:
        """Log an error whose class is another than that of the error before; return its class's name."""
        name = type(error).__name__
        if name != kind:
            # The text of a foreign error may hold a secret.
            text = error.summary if isinstance(error, AmplitudeSegmentError) else f"{name}."
            log.error(
                "Connection %r: the cohorts could not be listed. No asset event is made meanwhile; changes make theirs "
                "afterwards. The list is polled again, at growing intervals. %s",
                self.amplitude_conn_id,
                text,
            )
        return name
