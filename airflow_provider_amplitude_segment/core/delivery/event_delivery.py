"""Deliver the events of a plan after its identifies: each at most once, or at least once (ADR 0035).

All identifies of the plan are acknowledged or rejected before the first event is sent. Events are sent in windows. To
send at most once, a window is written to the journal before its first event leaves, and the claim is verified between
the two. So a run that takes over either finds the window in the journal, or stops this one before it sends.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import seconds_ahead
from airflow_provider_amplitude_segment.core.delivery.batches import Batch
from airflow_provider_amplitude_segment.core.delivery.track import track_messages
from airflow_provider_amplitude_segment.core.engine.database import one_row
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_parquet
from airflow_provider_amplitude_segment.core.ledger.entry import Journal
from airflow_provider_amplitude_segment.core.ledger.event_columns import NUMBER, EventJournal, numbered_events
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.report.progress import Progress
from airflow_provider_amplitude_segment.exceptions import SegmentOAuthError, SegmentRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.delivery.batches import OversizedMessage
    from airflow_provider_amplitude_segment.core.delivery.delivery import Delivered, Delivery
    from airflow_provider_amplitude_segment.core.delivery.identify import Envelope, MessageChunk
    from airflow_provider_amplitude_segment.core.delivery.track import PlanOf

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
    """The delivery of one plan's events to one destination.

    Attributes:
        of: the plan with ``events``, and its stream.
        new_delivery: makes a delivery to the destination, as for the plan's identifies.
        pack: makes batches of messages.
        timestamp: of all events; ISO 8601 with a time zone.
    """

    of: PlanOf
    new_delivery: Callable[[], Delivery]
    pack: Callable[[Iterator[MessageChunk], Envelope], Iterator[Batch | OversizedMessage]]
    timestamp: str

    def run(self, engine: duckdb.DuckDBPyConnection, changes: Path, scratch: Path, identifies: Delivered) -> Delivered:
        """Deliver the events of the plan's changes; return how the identifies and the events ended.

        Raises:
            ClaimLostError: another run took over; nothing was sent or written after this was found.
            StatePathError: the journal could not be written.
        """
        events, numbers = write_events(engine, changes, identifies.journal, scratch)
        delivered, left = identifies, self._to_send(numbers, identifies.journal.events)
        while left.pairs and delivered.error is None:
            window, left = left.split(WINDOW_EVENTS)
            delivery = self.new_delivery()
            messages = track_messages(engine, events, window, self.of, self.timestamp)
            batches = self.pack(messages, delivery.sender.envelope)
            delivered = self._deliver(window, batches, delivery, delivered)
        return delivered

    @property
    def _is_at_most_once(self) -> bool:
        return self.of.plan.events is not None and not self.of.plan.events.is_at_least_once

    def _to_send(self, numbers: Ranges, journal: EventJournal) -> Ranges:
        """Return the events that are sent now: none in doubt that Segment may not recognize as a copy any more."""
        pending = numbers.without(journal.settled)
        if not journal.in_doubt.pairs:
            return pending
        age = -seconds_ahead(self.of.plan.timestamp, self.new_delivery().clock.now())
        if not self._is_at_most_once or 0 <= age < RESEND_SECONDS:
            return pending
        log.warning(
            "%s: %s events may have been sent too long ago to send them again under the same message IDs. They are not "
            "sent again, because events is not 'at-least-once'.",
            self.of.plan.segment_conn_id,
            f"{journal.in_doubt.count:,}",
        )
        return pending.without(journal.in_doubt)

    def _deliver(
        self, window: Ranges, batches: Iterator[Batch | OversizedMessage], delivery: Delivery, before: Delivered
    ) -> Delivered:
        """Deliver a window of events; write it to the journal first, where each is sent at most once."""
        journal = self._start(window, before.journal, delivery) if self._is_at_most_once else before.journal
        planned = window.pairs[-1][1] + 1
        sent = _Window(before.journal, journal, Ranges.of([(0, planned - 1)]).without(window))
        write_journal = delivery.write_journal
        sending = replace(
            delivery,
            write_journal=lambda part: write_journal(sent.with_events(part)),
            planned=planned,
            journal=Journal(acked=sent.others),
            is_key_proved=True,
            progress=Progress(
                f"{self.of.plan.segment_conn_id} (events)", done=0, planned=window.count, clock=delivery.clock
            ),
        )
        try:
            delivered = sending.run(sent.noting(batches))
        except (SegmentRefusedError, SegmentOAuthError):
            self._take_back(sent, delivery)
            raise
        sent.with_events(delivered.journal)
        if delivered.error is not None:
            self._take_back(sent, delivery)
        return replace(
            delivered,
            journal=sent.journal,
            batches=before.batches + delivered.batches,
            retries=before.retries + delivered.retries,
        )

    def _take_back(self, sent: _Window, delivery: Delivery) -> None:
        """Write that the events in no batch are not started: the senders have ended, so a later plan may send them."""
        if self._is_at_most_once:
            sent.take_back()
            delivery.sender.monitor.verify()
            delivery.write_journal(sent.journal)

    def _start(self, window: Ranges, journal: Journal, delivery: Delivery) -> Journal:
        """Return the journal in which the window is started, after it is written and the claim is verified."""
        if not window.without(journal.events.started).pairs:
            return journal
        journal = journal.union(Journal(events=EventJournal(started=window)))
        delivery.write_journal(journal)
        delivery.sender.monitor.verify()
        return journal


@dataclass(slots=True, eq=False)
class _Window:
    """What became of a window of events.

    Attributes:
        before: the plan's journal before the window.
        journal: the plan's journal as it was last written.
        others: the numbers up to the window's last that are not in it.
        taken: the events that were in a batch.
    """

    before: Journal
    journal: Journal
    others: Ranges
    taken: Ranges = field(default_factory=Ranges)

    def with_events(self, part: Journal) -> Journal:
        """Return the plan's journal with what came of the window's events; ``part`` has their numbers as positions."""
        sent = EventJournal(acked=part.acked.without(self.others), rejected=part.rejected)
        self.journal = self.journal.union(Journal(events=sent))
        return self.journal

    def take_back(self) -> None:
        """Let only the events that were in a batch be started ones."""
        started = self.before.events.started.union(self.taken)
        self.journal = replace(self.journal, events=replace(self.journal.events, started=started))

    def noting(self, batches: Iterator[Batch | OversizedMessage]) -> Iterator[Batch | OversizedMessage]:
        """Yield the batches, and note the events of each before it can be sent."""
        for batch in batches:
            if isinstance(batch, Batch):
                self.taken = self.taken.union(batch.positions)
            yield batch
