"""Send requests to a Profile API from several threads, within its rate, and wait while it is down.

The API takes 100 requests a second of a space (https://www.twilio.com/docs/segment/unify/profile-api-limits), and other
programs use it too, so a verification sends half of that.

Segment may respond 500 for one user ID again and again (same page as above, "non-alphanumeric"). What fails while
other requests have responses is about its own ID. Where no other request is left, one that had a response is sent again
to learn that.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.clock import duration
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, RetryPolicy
from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileUnreadable
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiUnavailableError,
    VerificationStoppedError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer

REQUESTS_PER_SECOND = 50
_THREADS = 16

_POLICY = RetryPolicy(base_seconds=1.0, cap_seconds=60.0, total_seconds=600.0)
"""``total_seconds`` are those without any response that says something."""

_LONGEST_WAIT = 1.0
"""For a response, after which ``stop`` is checked."""

_MOST_TRIES = 5
"""Of one request that fails in rounds in which others have responses."""

_MOST_IN_A_ROW = 4
"""Failures without a response between them, after which a round ends, because the API may be down."""

_MOST_ODD_ROUNDS = 3
"""Rounds without a response of Segment's, after which one that is none of Segment's is raised."""

_TOO_MANY_REQUESTS = 429
_PROBE = -1
"""The number of the request that is sent again to learn whether the API responds."""

_Failure = RetryLater | SegmentApiAnswerError


@dataclass(slots=True)
class _Round:
    """One pass over the requests without a final response.

    Attributes:
        waiting: not sent yet.
        failed: by number, with why.
        last: the last failure.
        in_a_row: failures since the last response.
        asked_to_wait: the longest ``Retry-After`` of these failures, in seconds.
        is_limited: whether one of them says that there were too many requests.
        noted: final responses; ``answered`` counts that of the probe, too.
    """

    waiting: deque[tuple[int, Callable[[], Any]]]
    failed: dict[int, _Failure] = field(default_factory=dict)
    last: _Failure | None = None
    in_a_row: int = 0
    asked_to_wait: float = 0.0
    is_limited: bool = False
    noted: int = 0
    answered: int = 0

    @property
    def may_send(self) -> bool:
        return bool(self.waiting) and self.in_a_row < _MOST_IN_A_ROW and not self.is_limited

    def fail(self, number: int, failure: _Failure) -> None:
        self.last = failure
        self.in_a_row += 1
        self.is_limited = self.is_limited or not _is_own(failure)
        if isinstance(failure, RetryLater):
            self.asked_to_wait = max(self.asked_to_wait, failure.after_seconds or 0.0)
        if number != _PROBE:
            self.failed[number] = failure


@dataclass(slots=True)
class ProfileRequests:
    """Sends requests; only one thread uses it.

    Attributes:
        label: the destination's connection, for errors.
        conn_id: the Public API connection, for errors.
        clock: time.
        random_source: jitter of the back-off.
        stop: set when the task must end.
        pacer: shared by all destinations of the task, because they may share a space.
    """

    label: str
    conn_id: str
    clock: Clock
    random_source: RandomSource
    stop: threading.Event
    pacer: RequestPacer
    _probe: Callable[[], Any] | None = field(default=None, init=False, repr=False)
    _probed: int | None = field(default=None, init=False)
    """The number of the probe's request; ``None`` if an earlier call of ``send_all`` sent it."""

    def send_all(self, requests: Mapping[int, Callable[[], Any]], note: Callable[[int, Any], None]) -> None:
        """Send each request until its response is final, and note the response.

        Args:
            requests: by number, from 0; each is one attempt, in any thread.
            note: called in this thread, with a number and its response, as soon as it came; again if the request was
                sent again as a probe. A request that fails again and again while others have responses gets
                ``ProfileUnreadable``.

        Raises:
            SegmentApiUnavailableError: no request had a final response for too long; those noted stay valid.
            SegmentApiAnswerError: no response was one of Segment's.
            SegmentApiRefusedError: a request raised it.
            VerificationStoppedError: ``stop`` was set.
        """
        pending, tries, self._probed = dict(requests), Counter[int](), None
        quiet, answered_at = 0, self.clock.monotonic()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="profile") as pool:
            while pending:
                sent = _Round(deque(pending.items()))
                if self._probe is not None and all(number in tries for number in pending):
                    sent.waiting.appendleft((_PROBE, self._probe))
                self._send_round(pool, sent, pending, note)
                if sent.last is None:
                    continue
                tries.update(number for number, why in sent.failed.items() if sent.answered and _is_own(why))
                for number in [number for number in sent.failed if tries[number] >= _MOST_TRIES]:
                    note(number, ProfileUnreadable(sent.failed[number].status))
                    del pending[number]
                    sent.noted += 1
                for number in sent.failed.keys() & pending.keys():
                    # To the end, so that the others are asked first.
                    tries.setdefault(number, 0)
                    pending[number] = pending.pop(number)
                quiet = 1 if sent.answered else quiet + 1
                answered_at = self.clock.monotonic() if sent.noted else answered_at
                if pending:
                    self._back_off(sent, quiet, answered_at)

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            VerificationStoppedError: ``stop`` was set.
        """
        if self.clock.wait(seconds, self.stop):
            raise VerificationStoppedError(self.label)

    def _back_off(self, sent: _Round, quiet: int, answered_at: float) -> None:
        """Wait before the next round, or raise where the API has been quiet for too long."""
        if isinstance(sent.last, SegmentApiAnswerError) and not sent.answered and quiet >= _MOST_ODD_ROUNDS:
            raise sent.last
        pause = max(sent.asked_to_wait, _POLICY.back_off_seconds(quiet, self.random_source.random()))
        if sent.last is not None and self.clock.monotonic() + pause - answered_at > _POLICY.total_seconds:
            self._give_up(sent.last)
        self.pause(pause)

    def _give_up(self, failure: _Failure) -> NoReturn:
        if isinstance(failure, SegmentApiAnswerError):
            raise failure
        raise SegmentApiUnavailableError(
            self.conn_id,
            "what a profile has",
            failure.status,
            failure.reason or f"and no other response for {duration(_POLICY.total_seconds)}",
            failure.after_seconds,
            failure.advice,
        )

    def _send_round(
        self,
        pool: ThreadPoolExecutor,
        sent: _Round,
        pending: dict[int, Callable[[], Any]],
        note: Callable[[int, Any], None],
    ) -> None:
        """Send what waits, until all was sent or the API seems to be down; what has a response leaves ``pending``."""
        flying: dict[Future[Any], tuple[int, Callable[[], Any]]] = {}
        try:
            while flying or sent.may_send:
                pause = self.pacer.try_begin() if sent.may_send and len(flying) < _THREADS else _LONGEST_WAIT
                if pause == 0:
                    request = sent.waiting.popleft()
                    flying[pool.submit(self.pacer.run, request[1])] = request
                elif flying:
                    self.clock.wait_for_any(flying, pause)
                else:
                    self.pause(pause)
                for future in [future for future in flying if future.done()]:
                    number, call = flying.pop(future)
                    response = _response(future)
                    if isinstance(response, RetryLater | SegmentApiAnswerError):
                        sent.fail(number, response)
                        continue
                    sent.in_a_row, sent.answered = 0, sent.answered + 1
                    sent.noted += number != _PROBE
                    pending.pop(number, None)
                    asked = self._probed if number == _PROBE else number
                    if asked is not None:
                        note(asked, response)
                    if not isinstance(response, ProfileUnreadable):
                        self._probe, self._probed = call, asked
                if self.stop.is_set():
                    raise VerificationStoppedError(self.label)
        except CancelledError:
            raise VerificationStoppedError(self.label) from None


def _response(future: Future[Any]) -> Any:
    """Return a response; also one that is none of Segment's, because it may be about one user ID."""
    try:
        return future.result()
    except SegmentApiAnswerError as error:
        return error


def _is_own(failure: _Failure) -> bool:
    """Return whether a failure can be about its own user ID."""
    return failure.status != _TOO_MANY_REQUESTS
