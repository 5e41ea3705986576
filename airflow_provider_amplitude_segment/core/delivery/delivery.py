"""The delivery of one plan to one destination: batches out, a journal of what came of them.

The journal is written at least once a second, before more messages than full batches in flight could hold are either in
flight or missing in it, and before the delivery is left. What it misses, because the process died, is told again under
the same message IDs; nothing is ever taken for told that Segment did not acknowledge.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES, Batch, OversizedMessage
from airflow_provider_amplitude_segment.core.delivery.response import (
    CredentialsRejected,
    UnexpectedResponse,
    Unreachable,
)
from airflow_provider_amplitude_segment.core.delivery.sender import BatchResult
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.entry import Journal, Rejection
from airflow_provider_amplitude_segment.core.ledger.held_claims import VERIFY_SECONDS
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    LedgerError,
    SegmentAnswerError,
    SegmentRefusedError,
    SegmentUnavailableError,
    SegmentUnreachableError,
    SyncStoppedError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.delivery.response import Failure
    from airflow_provider_amplitude_segment.core.delivery.sender import BatchSender
    from airflow_provider_amplitude_segment.core.report.progress import Progress

FIRST_MESSAGES = 250
"""So many messages Segment must refuse one by one, and acknowledge none, to be taken to refuse us (ADR 0003)."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended.

    Attributes:
        journal: what is known of the plan now, earlier claims' part included.
        batches: requests that Segment acknowledged.
        retries: requests sent again.
        error: why changes are still pending; ``None`` when none is.
    """

    journal: Journal
    batches: int
    retries: int
    error: AmplitudeSegmentError | None


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """Delivers what is pending of one plan to one destination. Used once.

    Attributes:
        sender: sends a batch there.
        write_journal: keeps what is known; called only after the claims were verified.
        planned: changes of the plan.
        journal: what earlier claims know of it.
        is_key_proved: Segment has acknowledged something with this write key before.
        workers: batches in flight at most. What so many full batches hold is the most that may be in flight or
            acknowledged and not yet in the journal: so much is sent twice after a kill.
        stop: set when the task is to end; batches in flight are finished.
        clock: time.
        progress: counts how far it is.
    """

    sender: BatchSender
    write_journal: Callable[[Journal], None]
    planned: int
    journal: Journal
    is_key_proved: bool
    workers: int
    stop: threading.Event
    clock: Clock
    progress: Progress
    _settled: BatchResult = field(default_factory=BatchResult, init=False)
    _acked: list[tuple[int, int]] = field(default_factory=list, init=False)
    _unwritten: bool = field(default=False, init=False)
    _unwritten_messages: int = field(default=0, init=False)
    _first: Future[BatchResult] | None = field(default=None, init=False)
    _in_flight: dict[Future[BatchResult], int] = field(default_factory=dict, init=False)

    def run(self, batches: Iterator[Batch | OversizedMessage]) -> Delivered:
        """Deliver batches until none is left, one fails for good, or the task is to stop.

        Raises:
            ClaimLostError: another run took over; nothing was sent or written after that was seen.
            StatePathError: the journal could not be written; what it misses is told again.
        """
        try:
            with ThreadPoolExecutor(self.workers, thread_name_prefix="courier") as pool:
                try:
                    self.sender.monitor.verify()
                    self._run_first(batches, pool)
                    self._run_others(batches, pool)
                finally:
                    self.sender.halt.set()
        except LedgerError:
            # The claim or the place itself is gone: nothing more is written.
            raise
        except BaseException:
            # E.g. Airflow's execution_timeout. The couriers are back, so what they know is kept.
            if self._first is not None:
                self._settle(replace(self._first.result(), refused=()))
            self._settle_done()
            self._look_and_write()
            raise
        self._look_and_write()
        return self._delivered()

    def _run_first(self, batches: Iterator[Batch | OversizedMessage], pool: ThreadPoolExecutor) -> None:
        """Send batches one at a time until Segment has acknowledged something, to learn whether it refuses us.

        Raises:
            SegmentRefusedError: it refused every one of the first messages, by themselves, and nothing says that they
                rather than we are at fault; none of them is marked.
        """
        told, too_long = BatchResult(), []
        for batch in batches:
            if isinstance(batch, OversizedMessage):
                too_long.append(batch)
                continue
            self._first = pool.submit(self.sender.send, batch)
            while not self._first.done():
                self._wait({self._first})
            self.sender.rate_limiter.arrived(len(batch), self.clock.monotonic())
            told += self._first.result()
            self._first = None
            if told.acked.pairs or told.failure or told.halted or len(told.refused) >= FIRST_MESSAGES:
                break
        if told.refused and not told.acked.pairs:
            pending = self.journal.pending(self.planned).count
            if told.failure or told.halted:
                # Too little was heard to say who is at fault, so nobody is marked.
                told = replace(told, refused=())
            elif not self.is_key_proved or len(told.refused) + len(too_long) < pending:
                raise SegmentRefusedError(self.sender.label, told.refused[0].status, pending)
        self._settle(told)
        for message in too_long:
            self._settle_oversized(message)

    def _run_others(self, batches: Iterator[Batch | OversizedMessage], pool: ThreadPoolExecutor) -> None:
        for batch in batches:
            if isinstance(batch, Batch):
                self._settle_until_fewer_than(self.workers)
                if self._is_ending():
                    break
                self._in_flight[pool.submit(self.sender.send, batch)] = len(batch)
            else:
                self._settle_oversized(batch)
        self._settle_until_fewer_than(1)

    def _settle_until_fewer_than(self, batches: int) -> None:
        while True:
            self._settle_done()
            self._verify_if_due()
            if len(self._in_flight) < batches:
                if self._at_risk() + MAX_BATCH_MESSAGES > batches * MAX_BATCH_MESSAGES:
                    self._look_and_write()
                return
            self._wait(self._in_flight.keys())

    def _at_risk(self) -> int:
        """Return how many messages are in flight or not in the journal: told again if the process dies now."""
        return sum(self._in_flight.values()) + self._unwritten_messages

    def _settle_done(self) -> None:
        for future in [future for future in self._in_flight if future.done()]:
            del self._in_flight[future]
            self._settle(future.result())

    def _wait(self, in_flight: Collection[Future[BatchResult]]) -> None:
        """Wait for one of them, at most until the next look; on the way see whether the task is to stop."""
        wait(in_flight, timeout=VERIFY_SECONDS / 2, return_when=FIRST_COMPLETED)
        self.progress.log_if_due()
        if self.stop.is_set():
            self.sender.halt.set()
        self._verify_if_due()

    def _settle(self, told: BatchResult) -> None:
        self._acked.extend(told.acked.pairs)
        self._settled += BatchResult(Ranges(), told.refused, told.batches, told.retries, told.failure, told.halted)
        self._unwritten = True
        self._unwritten_messages += told.acked.count
        if told.failure:
            self.sender.halt.set()
        self.progress.add(told.acked.count + len(told.refused))

    def _settle_oversized(self, message: OversizedMessage) -> None:
        reason = f"the message has {message.size:,} bytes, over Segment's limit; it was not sent"
        self._settle(BatchResult(refused=(Rejection(message.position, None, reason),)))

    def _is_ending(self) -> bool:
        return self._settled.failure is not None or self.stop.is_set() or self.sender.halt.is_set()

    def _journal(self) -> Journal:
        ranges = Ranges.of(self._acked)
        # Kept merged, so that the list does not grow with the users.
        self._acked = list(ranges.pairs)
        refused = {refusal.position: refusal for refusal in self._settled.refused}
        return Journal(ranges, refused)

    def _verify_if_due(self) -> None:
        if self.sender.monitor.verify_if_due():
            self._write_unwritten()

    def _look_and_write(self) -> None:
        self.sender.monitor.verify()
        self._write_unwritten()

    def _write_unwritten(self) -> None:
        if self._unwritten:
            self.write_journal(self._journal())
            self._unwritten, self._unwritten_messages = False, 0

    def _delivered(self) -> Delivered:
        journal = self.journal.union(self._journal())
        pending = journal.pending(self.planned).count
        return Delivered(journal, self._settled.batches, self._settled.retries, self._error(pending))

    def _error(self, pending: int) -> AmplitudeSegmentError | None:
        return _error_of(self.sender.label, pending, self._settled.failure) if pending else None


def _error_of(label: str, pending: int, failure: Failure | None) -> AmplitudeSegmentError:
    """Return why changes are pending; ``None`` for a failure means that the task was to stop."""
    match failure:
        case CredentialsRejected(status=status):
            return SegmentRefusedError(label, status, pending)
        case UnexpectedResponse(status=status):
            return SegmentAnswerError(label, status, pending, "not an answer its documents have")
        case Unreachable(reason=reason, advice=advice):
            return SegmentUnreachableError(label, pending, reason, advice)
        case RetryLater(status=None, reason=reason, advice=advice):
            return SegmentUnavailableError(label, None, pending, f"{reason}; retries are spent", advice=advice)
        case RetryLater(status=status, after_seconds=after):
            # What Segment says itself may quote a user.
            return SegmentUnavailableError(label, status, pending, "retries are spent", after)
        case _:
            return SyncStoppedError(label, pending)
