"""Ours, client level: from the plan's file until everything is acknowledged, by the package's own delivery.

Reported besides: what the whole delivery took, with the look at the ledger before and the commit after it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.delivery.delivery import Delivery
from airflow_provider_amplitude_segment.core.delivery.fan_out import deliver_in_parallel
from airflow_provider_amplitude_segment.core.delivery.journal_writer import JournalWriter
from airflow_provider_amplitude_segment.core.plan.draft import report_draft
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from benchmarks.plan import open_destination_sync
from benchmarks.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def main() -> int:
    """Send a copy of a plan, so that it can be sent again."""
    order = json.loads(sys.argv[1])
    client = SegmentHook("segment_default").get_conn()

    delivery, shares = Stopwatch(), Shares()
    _time_delivery(delivery, shares)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        state, scratch = Path(folder, "state"), Path(folder, "scratch")
        shutil.copytree(order["state"], state)
        scratch.mkdir()
        with open_destination_sync(state, scratch, client) as destination_sync:
            report = report_draft(destination_sync.draft)
            with Stopwatch() as whole:
                [(ended, error)] = deliver_in_parallel([destination_sync], [report], destination_sync.ports.stop)
    if error is not None:
        raise error
    assert ended.committed
    delivery.report(
        acknowledged=ended.acknowledged,
        whole_seconds=whole.seconds,
        whole_processor_seconds=whole.processor_seconds,
        shares=shares.of(delivery.seconds),
    )
    return 0


class Shares:
    """What the delivery's own thread does, in seconds; the sending is done by others meanwhile."""

    def __init__(self) -> None:
        self._seconds = {"making bodies": 0.0, "claims and journal": 0.0, "waiting for a free request": 0.0}

    def timed(self, share: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self._seconds[share] += time.perf_counter() - began

        return timed

    def made(self, batches: Iterator[Any]) -> Iterator[Any]:
        next_batch = self.timed("making bodies", lambda: next(batches, None))
        while (batch := next_batch()) is not None:
            yield batch

    def of(self, seconds: float) -> dict[str, float]:
        return {**self._seconds, "everything else": seconds - sum(self._seconds.values())}


def _time_delivery(stopwatch: Stopwatch, shares: Shares) -> None:
    run = Delivery.run

    @wraps(run)
    def timed(self: Any, batches: Iterator[Any]) -> Any:
        with stopwatch:
            return run(self, shares.made(batches))

    Delivery.run = timed
    JournalWriter.finish = shares.timed("claims and journal", JournalWriter.finish)
    Delivery._wait = shares.timed("waiting for a free request", Delivery._wait)


if __name__ == "__main__":
    sys.exit(main())
