"""Whatever error ends the thread that leads a delivery, between whichever steps, nothing that came of it is lost."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
from fakes.clock import FakeClock, FakeRandomSource
from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.batches import Batch
from airflow_provider_amplitude_segment.core.delivery.delivery import Delivery
from airflow_provider_amplitude_segment.core.delivery.identify import Envelope
from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged, Rejected, Response
from airflow_provider_amplitude_segment.core.delivery.sender import BatchSender
from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
from airflow_provider_amplitude_segment.core.ledger.entry import Journal
from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.report.progress import Progress

BATCHES = 12
REFUSED = {4, 7}
LEADING = ("delivery/delivery.py", "delivery/journal_writer.py", "concurrent/futures/thread.py")
"""Where the errors are raised; not at a pool's own end."""


class Interruption(BaseException):
    """An error that no code expects there."""


@contextmanager
def interrupted_at(step: int) -> Iterator[None]:
    """Raise an error when the leading thread has made so many calls and returns of the delivery."""
    steps = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal steps
        code = frame.f_code
        # Python raises what a signal raises after a call, and never before one.
        if event != "c_call" and code.co_filename.endswith(LEADING) and code.co_name != "shutdown":
            steps += 1
            if steps == step:
                sys.setprofile(None)
                raise Interruption(event)

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


class Destination:
    """One Segment source and the journal of its plan."""

    def __init__(self) -> None:
        self.received: list[int] = []
        self.refused: set[int] = set()
        self.journal = Journal()
        self._lock = threading.Lock()

    def take(self, body: bytes) -> Response:
        (number,) = (message["n"] for message in json.loads(body)["batch"])
        with self._lock:
            self.refused.add(number) if number in REFUSED else self.received.append(number)
        return Rejected(400, "invalid") if number in REFUSED else Acknowledged()

    def write(self, journal: Journal) -> None:
        self.journal = journal

    def delivery(self, **options: Any) -> Delivery:
        clock = FakeClock()
        sender = BatchSender(
            label="segment_default",
            segment=Source(self.take),
            envelope=Envelope({}, None),
            policy=RetryPolicy(),
            rate_limiter=RateLimiter(None),
            monitor=ClaimMonitor(lambda: None, clock),
            clock=clock,
            random_source=FakeRandomSource(),
            halt=threading.Event(),
        )
        return Delivery(
            sender=sender,
            write_journal=self.write,
            planned=BATCHES,
            journal=Journal(),
            is_key_proved=False,
            stop=threading.Event(),
            clock=clock,
            progress=Progress("segment_default", done=0, planned=BATCHES, clock=clock),
            **options,
        )


def batches() -> Iterator[Batch]:
    for number in range(BATCHES):
        yield Batch(Ranges.of([(number, number)]), f'{{"n":{number}}}'.encode())


@pytest.mark.parametrize("workers", [1, 3])
def test_wherever_an_error_interrupts_a_delivery_all_that_segment_answered_is_in_the_journal(
    workers: int,
) -> None:
    for step in range(1, 10_000):
        destination = Destination()
        delivery = destination.delivery(workers=workers)
        try:
            with interrupted_at(step):
                delivery.run(batches())
        except Interruption:
            assert Ranges.of_positions(destination.received) == destination.journal.acked, step
            assert destination.refused == set(destination.journal.rejected), step
        else:
            break

    assert step > 20 * BATCHES
    assert sorted(destination.received) == [number for number in range(BATCHES) if number not in REFUSED]
    assert destination.refused == set(destination.journal.rejected) == REFUSED
