"""Deliver the events of a plan after its identifies: each at most once, or at least once (ADR 0035).

All identifies of the plan are acknowledged or rejected before the first event is sent. Events are sent in windows. To
send at most once, a window is written to the journal before its first event leaves, and the claim is verified between
the two. So a run that takes over either finds the window in the journal, or stops this one before it sends.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import seconds_ahead
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.entry import Journal
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, EventJournal, numbered_events
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.delivery.batches import Batch, OversizedMessage
    from airflow_provider_amplitude_segment.core.delivery.delivery import Delivered, Delivery
    from airflow_provider_amplitude_segment.core.ledger.entry import Plan
    from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor

log = logging.getLogger(__name__)

WINDOW_EVENTS = 10_000
"""The most events in doubt after a kill: as many as four full batches."""

RESEND_SECONDS = 20 * 3600.0
"""How old a plan may be whose events in doubt are sent again under the same message IDs.

Segment drops a copy for "approximately 24 hours" (https://www.twilio.com/docs/segment/guides/duplicate-data); the rest
is for workers whose clocks differ, and for the retries of a batch.
"""


def write_events(
    engine: duckdb.DuckDBPyConnection, changes: Path, journal: Journal, scratch: Path
) -> tuple[Path, Ranges]:
    """Write the events of a plan's changes to ``scratch/events.parquet``, each at the row of its number.

    Returns:
        The file, and the numbers of the events whose identify was acknowledged.
    """
    path = scratch / "events.parquet"
    engine.execute(write_parquet(numbered_events(changes), path))
    (count,) = one_row(engine, f"SELECT count(*) FROM {parquet_rows(path)}")
    rejected = engine.execute(
        f"SELECT {NUMBER} FROM {parquet_rows(changes, numbered=True)} "
        f"WHERE {NUMBER} IS NOT NULL AND file_row_number IN (SELECT unnest($1::BIGINT[]))",
        [list(journal.rejected)],
    ).fetchall()
    numbers = Ranges.of([(0, int(count) - 1)] if count else [])
    return path, numbers.without(Ranges.of_positions(number for (number,) in rejected))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDelivery:
    """The delivery of one plan's events to one destination. Used once.

    Attributes:
        plan: with ``events``.
        numbers: of the events whose identify was acknowledged.
        make_delivery: makes the delivery of some events: the number of events, those that are not to be sent now as a
            journal, and how to write the journal of the others.
        batches: makes the batches of events by their numbers.
        write_journal: writes this claim's journal of the plan.
        monitor: verifies the claim.
        now: seconds since 1970.
    """

    plan: Plan
    numbers: Ranges
    make_delivery: Callable[[int, Journal, Callable[[Journal], None]], Delivery]
    batches: Callable[[Ranges], Iterator[Batch | OversizedMessage]]
    write_journal: Callable[[Journal], None]
    monitor: ClaimMonitor
    now: Callable[[], float]

    def run(self, delivered: Delivered) -> Delivered:
        """Deliver the events, and return ``delivered``, how the identifies ended, with what came of the events.

        Raises:
            ClaimLostError: another run took over; nothing was sent or written after this was found.
            StatePathError: the journal could not be written.
        """
        left = self._to_send(delivered.journal.events)
        while left.pairs and delivered.error is None:
            window, left = left.split(WINDOW_EVENTS)
            delivered = self._deliver(window, delivered)
        return delivered

    def _to_send(self, journal: EventJournal) -> Ranges:
        """Return the events that are sent now: none in doubt that Segment may not recognize as a copy any more."""
        pending = self.numbers.without(journal.settled)
        if not journal.in_doubt.pairs:
            return pending
        age = -seconds_ahead(self.plan.timestamp, self.now())
        if self.plan.events is None or self.plan.events.is_at_least_once or 0 <= age < RESEND_SECONDS:
            return pending
        log.warning(
            "%s: %s events may have been sent too long ago to send them again under the same message IDs. They are not "
            "sent again, because events is not 'at-least-once'.",
            self.plan.segment_conn_id,
            f"{journal.in_doubt.count:,}",
        )
        return pending.without(journal.in_doubt)

    def _deliver(self, window: Ranges, before: Delivered) -> Delivered:
        """Deliver a window of events; write it to the journal first, where each is sent at most once."""
        journal = before.journal
        at_most_once = self.plan.events is not None and not self.plan.events.is_at_least_once
        if at_most_once and window.without(journal.events.started).pairs:
            journal = journal.union(Journal(events=EventJournal(started=window)))
            self.write_journal(journal)
            self.monitor.verify()
        last = window.pairs[-1][1]
        others = Ranges.of([(0, last)]).without(window)

        def with_events(part: Journal) -> Journal:
            sent = EventJournal(acked=part.acked.without(others), rejected=part.rejected)
            return journal.union(Journal(events=sent))

        delivery = self.make_delivery(
            last + 1, Journal(acked=others), lambda part: self.write_journal(with_events(part))
        )
        delivered = delivery.run(self.batches(window))
        return replace(
            delivered,
            journal=with_events(delivered.journal),
            batches=before.batches + delivered.batches,
            retries=before.retries + delivered.retries,
        )
