"""Send requests to a Profile API from several threads, within its rate, and wait while it is down.

The API takes 100 requests a second of a space (https://www.twilio.com/docs/segment/unify/profile-api-limits), and other
programs use it too, so a verification sends half of that.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import duration
from airflow_provider_amplitude_segment.core.http.retry import RetryLater, RetryPolicy
from airflow_provider_amplitude_segment.exceptions import SegmentApiUnavailableError, VerificationStoppedError

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


@dataclass(frozen=True, slots=True)
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

    def send_all(self, requests: Mapping[int, Callable[[], Any]], note: Callable[[int, Any], None]) -> None:
        """Send each request until its response is final, and note the response.

        Args:
            requests: by number; each is one attempt, in any thread.
            note: called in this thread, with a number and its response, as soon as it came.

        Raises:
            SegmentApiUnavailableError: no request had a final response for too long; those noted stay valid.
            SegmentApiRefusedError, SegmentApiAnswerError: a request raised it.
            VerificationStoppedError: ``stop`` was set.
        """
        pending = deque(requests.items())
        failures, answered_at = 0, self.clock.monotonic()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="profile") as pool:
            while pending:
                before = len(pending)
                later = self._send_until_trouble(pool, pending, note)
                if later is None:
                    return
                if len(pending) < before:
                    failures, answered_at = 0, self.clock.monotonic()
                failures += 1
                back_off = _POLICY.back_off_seconds(failures, self.random_source.random())
                pause = max(later.after_seconds or 0.0, back_off)
                if self.clock.monotonic() + pause - answered_at > _POLICY.total_seconds:
                    raise SegmentApiUnavailableError(
                        self.conn_id,
                        "what a profile has",
                        later.status,
                        later.reason or f"and no other response for {duration(_POLICY.total_seconds)}",
                        later.after_seconds,
                        later.advice,
                    )
                self.pause(pause)

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            VerificationStoppedError: ``stop`` was set.
        """
        if self.clock.wait(seconds, self.stop):
            raise VerificationStoppedError(self.label)

    def _send_until_trouble(
        self, pool: ThreadPoolExecutor, pending: deque[tuple[int, Any]], note: Callable[[int, Any], None]
    ) -> RetryLater | None:
        """Send all that is pending, or up to a transient response, which is returned; then it is pending again."""
        flying: dict[Future[Any], tuple[int, Any]] = {}
        later: RetryLater | None = None
        try:
            while flying or (pending and later is None):
                may_send = bool(pending) and later is None and len(flying) < _THREADS
                pause = self.pacer.try_begin() if may_send else _LONGEST_WAIT
                if pause == 0:
                    request = pending.popleft()
                    flying[pool.submit(self.pacer.run, request[1])] = request
                elif flying:
                    self.clock.wait_for_any(flying, pause)
                else:
                    self.pause(pause)
                for future in [future for future in flying if future.done()]:
                    request = flying.pop(future)
                    response = future.result()
                    if isinstance(response, RetryLater):
                        pending.append(request)
                        later = response
                    else:
                        note(request[0], response)
                if self.stop.is_set():
                    raise VerificationStoppedError(self.label)
        except CancelledError:
            raise VerificationStoppedError(self.label) from None
        return later
