"""Deliver one plan to one destination: send its batches, and journal what was acknowledged and rejected.

A thread of its own writes the journal at least once a second. A batch is sent only if the messages in flight, or not
yet in the journal, then are no more than ``workers`` full batches. If the process dies, what the journal misses is sent
again under the same message IDs. The journal has only what Segment acknowledged or rejected.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES, Batch, OversizedMessage
from airflow_provider_amplitude_segment.core.delivery.journal_writer import JournalWriter
from airflow_provider_amplitude_segment.core.delivery.response import (
    CredentialsRejected,
    OAuthRefused,
    UnexpectedResponse,
    Unreachable,
)
from airflow_provider_amplitude_segment.core.delivery.sender import BatchResult
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.held_claims import VERIFY_SECONDS
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    LedgerError,
    SegmentAnswerError,
    SegmentOAuthError,
    SegmentRefusedError,
    SegmentUnavailableError,
    SegmentUnreachableError,
    SyncStoppedError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.delivery.response import Failure
    from airflow_provider_amplitude_segment.core.delivery.sender import BatchSender
    from airflow_provider_amplitude_segment.core.ledger.entry import Journal
    from airflow_provider_amplitude_segment.core.report.progress import Progress

FIRST_MESSAGES = 250
"""If Segment rejects so many messages one by one and acknowledges none, the write key is at fault (ADR 0003)."""

_ALL_REJECTED = "it rejects every message, also with a new access token"


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended.

    Attributes:
        journal: of the plan, with the part of earlier claims.
        batches: requests that Segment acknowledged.
        retries: requests sent again.
        error: why changes are still pending; ``None`` if none is.
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
        write_journal: writes this claim's journal; called only after the claims were verified.
        planned: number of changes of the plan.
        journal: of earlier claims.
        is_key_proved: Segment has acknowledged a batch with this write key before.
        workers: most batches in flight. After a kill, at most so many full batches are sent twice.
        stop: set when the task must end; batches in flight are finished.
        clock: time.
        progress: counts what is delivered.
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
    _writer: JournalWriter = field(init=False)
    _journal_thread: ThreadPoolExecutor = field(init=False)
    _total: BatchResult = field(default_factory=BatchResult, init=False)
    _first: Future[BatchResult] | None = field(default=None, init=False)
    _in_flight: dict[Future[BatchResult], int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Make the writer of the journal."""
        self._writer = JournalWriter(
            write_journal=self.write_journal, monitor=self.sender.monitor, halt=self.sender.halt
        )

    def run(self, batches: Iterator[Batch | OversizedMessage]) -> Delivered:
        """Deliver the batches until none is left, one fails, or the task must stop.

        Raises:
            ClaimLostError: another run took over; nothing was sent or written after this was found.
            StatePathError: the journal could not be written; what it misses is sent again.
        """
        try:
            with (
                ThreadPoolExecutor(1, thread_name_prefix="journal") as self._journal_thread,
                ThreadPoolExecutor(self.workers, thread_name_prefix="sender") as pool,
            ):
                try:
                    self.sender.monitor.verify()
                    self._run_first(batches, pool)
                    self._run_others(batches, pool)
                finally:
                    self.sender.halt.set()
            self._writer.finish()
        except LedgerError:
            # The claim or the state path is lost, so nothing more is written.
            raise
        except BaseException:
            # All senders have ended, and the writer has what came of them.
            self._writer.finish()
            raise
        return self._delivered()

    def _send(self, batch: Batch) -> BatchResult:
        """Send a batch in a sender's thread; what came of it is kept, whatever becomes of the leading thread."""
        result = self.sender.send(batch)
        self._writer.add(result.acked, result.rejected)
        return result

    def _send_first(self, batch: Batch) -> BatchResult:
        """Send a batch whose rejections may be those of the write key, so they are not kept yet."""
        result = self.sender.send(batch)
        self._writer.add(result.acked, ())
        return result

    def _run_first(self, batches: Iterator[Batch | OversizedMessage], pool: ThreadPoolExecutor) -> None:
        """Send batches one at a time until Segment acknowledges something, to find out whether it rejects the key.

        Raises:
            SegmentRefusedError: it rejected each message so far, and the key is not proved or more messages are
                pending; no message is journaled as rejected.
            SegmentOAuthError: it rejected each message so far, and the access token may be the reason.
        """
        result, oversized, in_doubt = BatchResult(), [], []
        for batch in batches:
            if isinstance(batch, OversizedMessage):
                oversized.append(batch)
                continue
            result, sent = self._send_alone(batch, pool, result)
            in_doubt += [(batch, sent)] if sent.is_token_in_doubt else []
            if result.acked.pairs or result.failure or result.halted or len(result.rejected) >= FIRST_MESSAGES:
                break
        if in_doubt and result.acked.pairs and not (result.failure or result.halted):
            result = self._send_again(in_doubt, result, pool)
        if result.rejected and (result.is_token_in_doubt or not result.acked.pairs):
            pending = self.journal.pending(self.planned).count
            if result.failure or result.halted:
                # The messages or the key may be at fault, so no message is journaled as rejected.
                result = replace(result, rejected=())
            elif result.is_token_in_doubt:
                status = result.rejected[0].status
                raise SegmentOAuthError(self.sender.label, status, pending, _ALL_REJECTED, is_of_source=True)
            elif not self.is_key_proved or len(result.rejected) + len(oversized) < pending:
                raise SegmentRefusedError(self.sender.label, result.rejected[0].status, pending)
        self._writer.add(Ranges(), result.rejected)
        self._settle(result)
        for message in oversized:
            self._settle_oversized(message)

    def _send_alone(
        self, batch: Batch, pool: ThreadPoolExecutor, before: BatchResult
    ) -> tuple[BatchResult, BatchResult]:
        """Send a batch, with no other in flight; return the sum with ``before``, and how this one ended."""
        self._first = pool.submit(self._send_first, batch)
        while not self._first.done():
            self._wait()
        self.sender.rate_limiter.arrived(len(batch), self.clock.monotonic())
        sent = self._first.result()
        self._first = None
        return before + sent, sent

    def _send_again(
        self, in_doubt: list[tuple[Batch, BatchResult]], result: BatchResult, pool: ThreadPoolExecutor
    ) -> BatchResult:
        """Send batches again whose rejections may have been about the token, after Segment acknowledged another."""
        doubtful = {rejection for _, sent in in_doubt for rejection in sent.rejected}
        proved = tuple(rejection for rejection in result.rejected if rejection not in doubtful)
        result = replace(result, rejected=proved, is_token_in_doubt=False)
        for batch, _ in in_doubt:
            result, _ = self._send_alone(batch, pool, result)
            if result.failure or result.halted:
                break
        return result

    def _run_others(self, batches: Iterator[Batch | OversizedMessage], pool: ThreadPoolExecutor) -> None:
        for batch in batches:
            if isinstance(batch, Batch):
                self._wait_for_room()
                if self._is_ending():
                    break
                self._in_flight[pool.submit(self._send, batch)] = len(batch)
            else:
                self._settle_oversized(batch)
        while self._in_flight:
            self._wait()

    def _wait_for_room(self) -> None:
        """Wait until one more full batch may be in flight."""
        self._settle_done()
        self._writer.start_if_due(self._journal_thread)
        while len(self._in_flight) >= self.workers or self._at_risk() > (self.workers - 1) * MAX_BATCH_MESSAGES:
            if len(self._in_flight) < self.workers:
                self._writer.start(self._journal_thread)
            self._wait()

    def _at_risk(self) -> int:
        """Return how many messages are in flight or not in the journal; a kill would send them twice."""
        return sum(self._in_flight.values()) + self._writer.unwritten_messages

    def _wait(self) -> None:
        """Wait for a batch or the journal, at most until the claims must be verified; halt if the task must stop."""
        self._writer.start_if_due(self._journal_thread)
        others = [future for future in (self._first, self._writer.writing) if future is not None]
        self.clock.wait_for_any([*self._in_flight, *others], VERIFY_SECONDS / 2)
        self.progress.log_if_due()
        if self.stop.is_set():
            self.sender.halt.set()
        self._settle_done()

    def _settle_done(self) -> None:
        for future in [future for future in self._in_flight if future.done()]:
            del self._in_flight[future]
            self._settle(future.result())
        self._writer.settle()

    def _settle(self, result: BatchResult) -> None:
        self._total += replace(result, acked=Ranges())
        if result.failure:
            self.sender.halt.set()
        self.progress.add(result.acked.count + len(result.rejected))

    def _settle_oversized(self, message: OversizedMessage) -> None:
        reason = f"the message has {message.size:,} bytes, over Segment's limit; it was not sent"
        rejected = (Rejection(message.position, None, reason),)
        self._writer.add(Ranges(), rejected)
        self._settle(BatchResult(rejected=rejected))

    def _is_ending(self) -> bool:
        return self._total.failure is not None or self.stop.is_set() or self.sender.halt.is_set()

    def _delivered(self) -> Delivered:
        journal = self.journal.union(self._writer.journal())
        pending = journal.pending(self.planned).count
        error = _error_of(self.sender.label, pending, self._total.failure) if pending else None
        return Delivered(journal, self._total.batches, self._total.retries, error)


def _error_of(label: str, pending: int, failure: Failure | None) -> AmplitudeSegmentError:
    """Return why changes are pending; without a failure, the task had to stop."""
    match failure:
        case CredentialsRejected(status=status):
            return SegmentRefusedError(label, status, pending)
        case OAuthRefused(status=status, reason=reason, is_of_source=is_of_source):
            return SegmentOAuthError(label, status, pending, reason, is_of_source=is_of_source)
        case UnexpectedResponse(status=status):
            return SegmentAnswerError(label, status, pending, "not a documented response")
        case Unreachable(reason=reason, advice=advice):
            return SegmentUnreachableError(label, pending, reason, advice)
        case RetryLater(status=status, after_seconds=after, reason=reason, advice=advice, is_posted=is_posted):
            # Segment's own text may quote a user, so it is left out.
            why = "retries are spent" if status else f"{reason}; retries are spent"
            return SegmentUnavailableError(label, status, pending, why, after, advice, is_posted=is_posted)
        case _:
            return SyncStoppedError(label, pending)
