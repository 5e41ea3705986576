"""The journal's thread: a write that fails stops the senders, and its content stays unwritten."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from fakes.clock import FakeClock

from airflow_provider_amplitude_segment.core.delivery.journal_writer import JournalWriter
from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.exceptions import ClaimLostError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.entry import Journal

LOST = ClaimLostError(3, 4, "DAG 'a', run 'r'")


def test_a_claim_that_is_found_lost_stops_the_senders_before_the_leading_thread_looks() -> None:
    written: list[Journal] = []
    halt = threading.Event()

    def lose() -> None:
        raise LOST

    writer = JournalWriter(write_journal=written.append, monitor=ClaimMonitor(lose, FakeClock()), halt=halt)
    writer.add(Ranges.of([(0, 249)]), ())
    with ThreadPoolExecutor(1) as thread:
        writer.start(thread)

    assert halt.is_set()
    assert written == []
    assert writer.unwritten_messages == 250
    with pytest.raises(ClaimLostError):
        writer.settle()
    assert writer.unwritten_messages == 250
