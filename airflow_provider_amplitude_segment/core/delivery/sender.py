"""The courier: takes one batch to Segment, as often as it takes, and says what became of each message.

Runs in several threads at once. A refused batch is halved until the message that causes it stands alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.delivery.response import (
    Acknowledged,
    Rejected,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.entry import Rejection
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    import threading

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.delivery.batches import Batch
    from airflow_provider_amplitude_segment.core.delivery.identify import Envelope
    from airflow_provider_amplitude_segment.core.delivery.ports import Segment
    from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
    from airflow_provider_amplitude_segment.core.delivery.response import Failure, Response
    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
    from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor


log = logging.getLogger(__name__)

_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        acked: positions that Segment acknowledged.
        refused: changes that it refused for good.
        batches: requests that it acknowledged.
        retries: requests sent again.
        failure: the answer that ended the courier's way; the rest of the batch is pending. ``None``: nothing is.
        halted: it was called back before the batch was settled.
    """

    acked: Ranges = field(default_factory=Ranges)
    refused: tuple[Rejection, ...] = ()
    batches: int = 0
    retries: int = 0
    failure: Failure | None = None
    halted: bool = False

    def __add__(self, other: BatchResult) -> BatchResult:
        """Return both together; the first failure stays."""
        return BatchResult(
            self.acked.union(other.acked),
            self.refused + other.refused,
            self.batches + other.batches,
            self.retries + other.retries,
            self.failure or other.failure,
            self.halted or other.halted,
        )


@dataclass(frozen=True, slots=True)
class BatchSender:
    """How batches reach one destination.

    Attributes:
        label: the destination's connection, for the log.
        segment: takes the bodies.
        envelope: what is around the messages.
        policy: how often and how long to try again.
        pace: shared with the destination's neighbours.
        lookout: asked before every request.
        clock: time.
        chance: jitter of the back-off.
        halt: calls all couriers of a sync back; requests under way end first.
    """

    label: str
    segment: Segment
    envelope: Envelope
    policy: RetryPolicy
    rate_limiter: RateLimiter
    monitor: ClaimMonitor
    clock: Clock
    random_source: RandomSource
    halt: threading.Event

    def send(self, batch: Batch) -> BatchResult:
        """Take a batch to Segment and come back with what became of it; raises nothing."""
        answer, retries = self._ask_until_final(batch)
        match answer:
            case None:
                return BatchResult(retries=retries, halted=True)
            case Acknowledged():
                return BatchResult(acked=batch.positions, batches=1, retries=retries)
            case Rejected(status=status, reason=reason) if len(batch) == 1:
                return BatchResult(refused=(Rejection(batch.positions.pairs[0][0], status, reason),), retries=retries)
            case Rejected():
                left, right = batch.halves()
                first = self.send(left)
                if first.failure or first.halted:
                    return BatchResult(retries=retries) + first
                return BatchResult(retries=retries) + first + self.send(right)
            case _:
                return BatchResult(retries=retries, failure=answer)

    def _ask_until_final(self, batch: Batch) -> tuple[Response | None, int]:
        """Post until an answer is final; ``None`` when called back. Also returns how often it was sent again.

        A wait that Segment asks for spends no retry; the time limit holds for all waits together.
        """
        began = self.clock.monotonic()
        sent = spent = asked = 0
        while True:
            if not self._may_send(len(batch)):
                return None, max(0, sent - 1)
            answer = self.segment.post_batch(self.envelope.wrap(batch.text, timestamp(self.clock.now())), retry=sent)
            sent += 1
            if not isinstance(answer, RetryLater):
                return answer, sent - 1
            if answer.after_seconds is None:
                if spent == self.policy.retries:
                    return answer, sent - 1
                spent += 1
                wait = self.policy.back_off_seconds(spent, self.random_source.random())
            else:
                # However short a wait it asks for again and again, Segment is not hammered.
                asked += 1
                wait = max(answer.after_seconds, self.policy.back_off_seconds(asked, self.random_source.random()))
            if self.clock.monotonic() + wait - began > self.policy.total_seconds:
                return answer, sent - 1
            if answer.status == _TOO_MANY:
                self.rate_limiter.slow_down(self.clock.monotonic(), wait)
            said = f"HTTP {answer.status}" if answer.status else answer.reason
            log.warning("%s: Segment did not take a batch (%s); again in %.1f s", self.label, said, wait)
            if self.clock.wait(wait, self.halt):
                return None, sent - 1

    def _may_send(self, messages: int) -> bool:
        wait = self.rate_limiter.reserve(messages, self.clock.monotonic())
        if wait > 0 and self.clock.wait(wait, self.halt):
            return False
        return self.monitor.wait_until_verified(self.halt)
