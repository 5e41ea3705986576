"""The package's clients of the sandbox's Public API and Profile API, on a process's own wire and time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient
from airflow_provider_amplitude_segment.clients.public_request import Waiting
from airflow_provider_amplitude_segment.clients.segment_api import SegmentApiClient
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
    from faults.virtual_time import ProcessClock
    from faults.world import World

API_CONN_ID = "segment_api"
TIMEOUT_SECONDS = 5.0


class InlineLimit(TimeLimit):
    """A limit of requests that run in the caller's thread, because the steps of a history follow each other.

    ``before_request`` is called before each request.
    """

    def __init__(self, clock: ProcessClock, before_request: Callable[[], object] = lambda: None) -> None:
        super().__init__(clock.monotonic)
        self._before_request = before_request

    def left(self) -> float:
        return math.inf

    def check(self) -> None:
        self._before_request()
        super().check()


def open_public_api(
    world: World,
    session: requests.Session,
    clock: ProcessClock,
    retries: RetryPolicy,
    limit: InlineLimit,
) -> SegmentApiClient:
    """Return a client of the workspace that has the first destination's source."""
    session.headers["Authorization"] = f"Bearer {world.sandbox.segment.public_api.token}"
    waiting = Waiting(clock.sleep, clock.random, clock.now, clock.monotonic, limit)
    url = f"{world.sandbox.url}/public-api"
    return SegmentApiClient(session, url, TIMEOUT_SECONDS, conn_id=API_CONN_ID, retries=retries, waiting=waiting)


def open_profile_api(
    world: World, session: requests.Session, clock: ProcessClock, before_request: Callable[[], object]
) -> ProfileApiClient:
    """Return a client of the space that this source feeds."""
    space = world.sandbox.segment.profile_api
    session.auth = HTTPBasicAuth(space.token, "")
    return ProfileApiClient(
        session,
        f"{world.sandbox.url}/profile-api",
        space.space_id,
        TIMEOUT_SECONDS,
        conn_id=API_CONN_ID,
        before_request=before_request,
        now=clock.now,
    )
