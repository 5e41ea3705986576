"""Send one batch to Segment, with retries, and return what was acknowledged and rejected.

Several threads send at once. A rejected batch is halved until each rejected message is alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged, Rejected
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection

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
    """How the sending of a batch ended.

    Attributes:
        acked: positions that Segment acknowledged.
        rejected: changes that it rejected.
        batches: requests that it acknowledged.
        retries: requests sent again.
        failure: the response that ended the sending, with the rest of the batch pending; ``None`` if there was none.
        halted: the sender was halted before the whole batch was delivered.
        is_token_in_doubt: with OAuth, some of the rejections may be about the access token.
    """

    acked: Ranges = field(default_factory=Ranges)
    rejected: tuple[Rejection, ...] = ()
    batches: int = 0
    retries: int = 0
    failure: Failure | None = None
    halted: bool = False
    is_token_in_doubt: bool = False

    def __add__(self, other: BatchResult) -> BatchResult:
        """Return the sum of both; the first failure stays."""
        return BatchResult(
            self.acked.union(other.acked),
            self.rejected + other.rejected,
            self.batches + other.batches,
            self.retries + other.retries,
            self.failure or other.failure,
            self.halted or other.halted,
            self.is_token_in_doubt or other.is_token_in_doubt,
        )


@dataclass(frozen=True, slots=True)
class BatchSender:
    """Sends batches to one destination.

    Attributes:
        label: the destination's connection, for the log.
        segment: the client that posts the bodies.
        envelope: the request's body around the messages.
        policy: how often and how long to retry.
        rate_limiter: shared with the other destinations of the workspace.
        monitor: confirms before each request that the claims were just verified.
        clock: time.
        random_source: jitter of the back-off.
        halt: set to end all sending of this destination; requests in flight end first.
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
        """Send a batch, and return how that ended; raises nothing."""
        response, retries = self._post_until_final(batch)
        match response:
            case None:
                return BatchResult(retries=retries, halted=True)
            case Acknowledged():
                return BatchResult(acked=batch.positions, batches=1, retries=retries)
            case Rejected(status=status, reason=reason, is_token_in_doubt=in_doubt) if len(batch) == 1:
                rejection = Rejection(batch.positions.pairs[0][0], status, reason)
                return BatchResult(rejected=(rejection,), retries=retries, is_token_in_doubt=in_doubt)
            case Rejected():
                return BatchResult(retries=retries) + self._send_halves(batch)
            case _:
                return BatchResult(retries=retries, failure=response)

    def _send_halves(self, batch: Batch) -> BatchResult:
        left, right = batch.halves()
        first = self.send(left)
        if first.failure or first.halted:
            return first
        second = self.send(right)
        if first.is_token_in_doubt and second.acked.pairs and not (second.failure or second.halted):
            # The first acknowledgement: from now on the client can separate a message's fault from the token's.
            first = replace(self.send(left), retries=first.retries)
        return first + second

    def _post_until_final(self, batch: Batch) -> tuple[Response | None, int]:
        """Post until the response is final; return it, or ``None`` if halted, and the number of retries.

        A wait that Segment requests counts as no retry, but the limit of the total time includes it.
        """
        began = self.clock.monotonic()
        tried = posted = backed_off = requested = 0
        while True:
            if not self._may_send(len(batch)):
                return None, max(0, tried - 1)
            response = self.segment.post_batch(
                self.envelope.wrap(batch.text, timestamp(self.clock.now())), retry=posted
            )
            tried += 1
            if not isinstance(response, RetryLater):
                return response, tried - 1
            posted += response.is_posted
            if response.after_seconds is None:
                if backed_off == self.policy.retries:
                    return response, tried - 1
                backed_off += 1
                wait = self.policy.back_off_seconds(backed_off, self.random_source.random())
            else:
                # Back off here too, because Segment may request a short wait many times.
                requested += 1
                back_off = self.policy.back_off_seconds(requested, self.random_source.random())
                wait = max(response.after_seconds, back_off)
            if self.clock.monotonic() + wait - began > self.policy.total_seconds:
                return response, tried - 1
            if response.status == _TOO_MANY:
                self.rate_limiter.slow_down(self.clock.monotonic(), wait)
            reason = f"HTTP {response.status}" if response.status else response.reason
            log.warning("%s: Segment did not acknowledge a batch (%s); retry in %.1f s", self.label, reason, wait)
            if self.clock.wait(wait, self.halt):
                return None, tried - 1

    def _may_send(self, messages: int) -> bool:
        wait = self.rate_limiter.reserve(messages, self.clock.monotonic())
        if wait > 0 and self.clock.wait(wait, self.halt):
            return False
        return self.monitor.wait_until_verified(self.halt)
