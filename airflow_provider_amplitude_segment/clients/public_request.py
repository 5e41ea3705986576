"""Requests to Segment's Public API: retried while they are transient, and page by page."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow_provider_amplitude_segment.clients.request import get_quietly
from airflow_provider_amplitude_segment.core.http.network_fault import NetworkFault
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, read_response
from airflow_provider_amplitude_segment.core.segment_api.retries import LONGEST_ASKED_WAIT_SECONDS
from airflow_provider_amplitude_segment.exceptions import SegmentApiUnavailableError, SegmentApiUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
    from airflow_provider_amplitude_segment.core.segment_api.responses import ResponseData
    from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit

log = logging.getLogger(__name__)

# A version that is not stable yet has to be asked for.
STABLE = "application/vnd.segment.v1+json"
BETA = "application/vnd.segment.v1beta+json"
ALPHA = "application/vnd.segment.v1alpha+json"

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a client knows the time and lets it pass.

    Attributes:
        sleep: waits; seconds.
        random: returns a number in [0, 1), for the jitter.
        now: returns seconds since 1970-01-01 UTC.
        monotonic: returns seconds that never go back.
        limit: of all requests and waits together; without one, only each silence has a limit.
    """

    sleep: Callable[[float], object] = time.sleep
    random: Callable[[], float] = random.random
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    limit: TimeLimit | None = None


@dataclass(frozen=True, slots=True)
class PublicRequests:
    """Sends requests with one token.

    Attributes:
        session: carries the token.
        base_url: without a slash at its end.
        timeout_seconds: longest silence of the server.
        conn_id: of the connection, for errors.
        retries: how a transient response is waited out.
        waiting: time.
    """

    session: requests.Session
    base_url: str
    timeout_seconds: float
    conn_id: str
    retries: RetryPolicy
    waiting: Waiting

    def ask(
        self, path: str, doing: str, *, accept: str = STABLE, query: Mapping[str, str] | None = None
    ) -> ResponseData:
        """Return the data of the response to one request.

        Args:
            path: Begins with a slash.
            doing: What Segment is asked, in words.
            accept: The version of the address.
            query: Names and values, as they are.

        Raises:
            SegmentApiRefusedError: 401 and 403.
            SegmentApiUnavailableError: No response, a part of one, 408, 429 or 5xx, each time.
            SegmentApiUnreachableError: No connection, for a reason that no retry cures.
            SegmentApiAnswerError: Any other response, 404 and 422 among them.
            TimeoutError: The time of the limit is over.
        """
        request = ApiRequest(self.conn_id, doing)
        search = f"?{urlencode(query, quote_via=quote, errors='replace')}" if query else ""
        url = f"{self.base_url}{path}{search}"
        began, retry = self.waiting.monotonic(), 0
        while isinstance(result := self._try(url, accept, request), RetryLater):
            retry += 1
            seconds = self.retries.back_off_seconds(retry, self.waiting.random())
            if result.after_seconds is not None:
                seconds = min(max(result.after_seconds, seconds), LONGEST_ASKED_WAIT_SECONDS)
            is_late = self.waiting.monotonic() - began + seconds > self.retries.total_seconds
            is_late = is_late or (self.waiting.limit is not None and seconds >= self.waiting.limit.left())
            if retry > self.retries.retries or is_late:
                raise _unavailable(request, result)
            log.warning(
                "Segment did not say %s for connection %s: %s. Retrying in %.1f s.",
                doing,
                self.conn_id,
                result.said,
                seconds,
            )
            self.waiting.sleep(seconds)
        return result

    def pages(
        self,
        path: str,
        doing: str,
        *,
        count: int = _PAGE,
        accept: str = STABLE,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[ResponseData]:
        """Yield the pages of a list; a page is asked for when the one before has been read.

        Args:
            path: As for ``ask``, like ``doing``, ``accept`` and ``query``.
            doing: What Segment is asked, in words.
            count: Entries a page, from 1 to 1,000.
            accept: The version of the address.
            query: Beside the page.

        Raises:
            SegmentApiAnswerError: Also where a cursor comes a second time, which would never end.
        """
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            # Segment's documents show this form; each of its SDKs sends another one.
            page = {"pagination.count": str(count)} | ({"pagination.cursor": cursor} if cursor else {})
            data = self.ask(path, doing, accept=accept, query={**(query or {}), **page})
            yield data
            cursor = data.next_cursor()
            if cursor is None:
                return
            if cursor in seen:
                raise data.request.wrong_answer(data.status, "the same page a second time")
            seen.add(cursor)

    def _try(self, url: str, accept: str, request: ApiRequest) -> ResponseData | RetryLater:
        # The limit of all tries is also one for the silence in a single try.
        timeout_seconds = min(self.timeout_seconds, self.retries.total_seconds)
        limit = self.waiting.limit
        if limit is not None:
            limit.check()
        response = get_quietly(
            self.session, url, timeout_seconds=timeout_seconds, headers={"Accept": accept}, limit=limit
        )
        if not isinstance(response, NetworkFault):
            return read_response(response, request, now=self.waiting.now())
        if response.is_lasting:
            raise SegmentApiUnreachableError(request.conn_id, request.doing, response.reason, response.advice)
        return RetryLater(None, None, response.reason, response.advice)


def _unavailable(request: ApiRequest, last: RetryLater) -> SegmentApiUnavailableError:
    return SegmentApiUnavailableError(
        request.conn_id,
        request.doing,
        last.status,
        last.reason or "no reason given",
        last.after_seconds,
        last.advice,
    )
