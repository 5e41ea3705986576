"""Segment's Profile API over HTTP: https://www.twilio.com/docs/segment/unify/profile-api."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, TypeVar
from urllib.parse import quote, urlencode

from airflow_provider_amplitude_segment.clients.request import get_quietly
from airflow_provider_amplitude_segment.core.http.base_url import without_version
from airflow_provider_amplitude_segment.core.http.network_fault import NetworkFault
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAbsent, ProfileUnreadable
from airflow_provider_amplitude_segment.core.segment_api.profile_responses import (
    NextPage,
    UserIds,
    read_trait,
    read_user_ids,
)
from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest
from airflow_provider_amplitude_segment.exceptions import SegmentApiUnreachableError, XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import requests

    from airflow_provider_amplitude_segment.core.http.response_body import HttpResponse
    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit

_Answer = TypeVar("_Answer")

_TRAITS_PAGE = "200"
_EXTERNAL_IDS_PAGE = "100"


def _without_waiting() -> None:
    """Let a request go at once."""


class ProfileApiClient:
    """Reads profiles of one space, one at a time.

    Safe to use from as many threads as the session's pool has connections. The caller waits and retries. Nothing that
    it logs or raises names a user.

    Args:
        session: Carries ``Basic base64("<token>:")``.
        base_url: Scheme and host, with or without ``/v1``, e.g. ``https://profiles.segment.com``.
        space_id: Segment's ID of the space.
        timeout_seconds: Longest silence of the server.
        conn_id: Of the connection, for errors.
        before_request: Called before each request, so that a caller can keep to a rate; one user may need several.
        now: Seconds since 1970-01-01 UTC.
        limit: Of all requests together, after which they raise ``TimeoutError``.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        space_id: str,
        timeout_seconds: float,
        *,
        conn_id: str,
        before_request: Callable[[], object] = _without_waiting,
        now: Callable[[], float] = time.time,
        limit: TimeLimit | None = None,
    ) -> None:
        self._session = session
        self.base_url = without_version(base_url)
        self.space_id = space_id
        self._timeout_seconds = timeout_seconds
        self.conn_id = conn_id
        self._before_request = before_request
        self._now = now
        self._limit = limit

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the token along: Airflow 2.11 can be set to pickle XComs.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("ProfileApiClient", "what it read, and take a client from the hook in each task")

    def trait(self, user_id: str, trait: str) -> ProfileAnswer:
        """Return what Segment has of one user's trait; one attempt.

        Args:
            user_id: As it was sent. "Queries with an ``external_id`` in other casing won't return any profiles"
                (https://www.twilio.com/docs/segment/unify/profile-api), so an ID with capitals is asked for in lower
                case, and as it is only where that is not found: one request each for most users.
            trait: The trait's key.

        Raises:
            SegmentApiRefusedError: 401 and 403.
            SegmentApiUnreachableError: No connection, for a reason that no retry cures.
            SegmentApiAnswerError: The response is not about a profile, for example because the space is unknown.
        """
        return self._of_profile(user_id, lambda profile: self._read_trait(profile, trait))

    def user_ids(self, user_id: str) -> Sequence[str] | ProfileAnswer:
        """Return all user IDs of the profile that has this one; else why there are none.

        Raises:
            SegmentApiRefusedError, SegmentApiUnreachableError, SegmentApiAnswerError: As for ``trait``.
        """
        return self._of_profile(user_id, self._read_user_ids)

    def close(self) -> None:
        """Close the connections to Segment."""
        self._session.close()

    def _of_profile(self, user_id: str, read: Callable[[str], _Answer]) -> _Answer | ProfileUnreadable:
        part = _part(user_id)
        if part is None:
            return ProfileUnreadable(None)
        # Half a surrogate pair stays one in lower case.
        lower = _part(user_id.lower()) or part
        answer = read(lower)
        return read(part) if lower != part and isinstance(answer, ProfileAbsent) else answer

    def _read_trait(self, profile: str, trait: str) -> ProfileAnswer:
        request = ApiRequest(self.conn_id, "what it has of a user's trait")
        # ``include`` separates keys by commas, so it cannot name a key that has one; nor one that is not Unicode.
        is_named = "," not in trait and _part(trait) is not None
        query = {"verbose": "true"} | ({"include": trait} if is_named else {"limit": _TRAITS_PAGE})
        seen: set[str] = set()
        while True:
            response = self._get(profile, "traits", query, request)
            if isinstance(response, RetryLater):
                return response
            answer = read_trait(response, request, trait, now=self._now())
            if not isinstance(answer, NextPage):
                return answer
            query = {**query, "next": _new(answer.cursor, seen, request, response.status)}

    def _read_user_ids(self, profile: str) -> tuple[str, ...] | ProfileAnswer:
        request = ApiRequest(self.conn_id, "which user IDs a profile has")
        query = {"limit": _EXTERNAL_IDS_PAGE}
        seen: set[str] = set()
        user_ids: list[str] = []
        while True:
            response = self._get(profile, "external_ids", query, request)
            if isinstance(response, RetryLater):
                return response
            answer = read_user_ids(response, request, now=self._now())
            if not isinstance(answer, UserIds):
                return answer
            user_ids += answer.user_ids
            if answer.cursor is None:
                return tuple(user_ids)
            query = {**query, "next": _new(answer.cursor, seen, request, response.status)}

    def _get(
        self, profile: str, route: str, query: Mapping[str, str], request: ApiRequest
    ) -> HttpResponse | RetryLater:
        """Return one response, or why none came.

        Raises:
            SegmentApiUnreachableError: No connection, for a reason that no retry cures.
        """
        self._before_request()
        if self._limit is not None:
            self._limit.check()
        space = quote(self.space_id, safe="", errors="replace")
        url = (
            f"{self.base_url}/v1/spaces/{space}/collections/users/profiles/user_id:{profile}/{route}"
            f"?{urlencode(query, quote_via=quote, safe='', errors='replace')}"
        )
        response = get_quietly(self._session, url, timeout_seconds=self._timeout_seconds, limit=self._limit)
        if not isinstance(response, NetworkFault):
            return response
        if response.is_lasting:
            raise SegmentApiUnreachableError(request.conn_id, request.doing, response.reason, response.advice)
        return RetryLater(None, None, response.reason, response.advice)


def _new(cursor: str, seen: set[str], request: ApiRequest, status: int) -> str:
    """Return a cursor that has not come before.

    Raises:
        SegmentApiAnswerError: It has, and the pages would never end.
    """
    if cursor in seen:
        raise request.wrong_answer(status, "the same page a second time")
    seen.add(cursor)
    return cursor


def _part(name: str) -> str | None:
    r"""Return an ID as a part of a URL's path; ``None`` where it is empty or half a surrogate pair is in it.

    "If the field contains a value with a non-alphanumeric character, then the Profile API may respond with 500" unless
    it is encoded.

    >>> _part("+49 30/1%é"), _part(""), _part("\ud800")
    ('%2B49%2030%2F1%25%C3%A9', None, None)
    """
    try:
        return quote(name, safe="") or None
    except UnicodeEncodeError:
        return None
