"""The wire between a process and the sandbox: each request is a step, and a body may be held back on it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from airflow_provider_amplitude_segment.core.clock import timestamp
from faults.process import RUN, Process, Step

if TYPE_CHECKING:
    from faults.world import World

_SLOW_SECONDS = 130.0
"""Virtual seconds of a slow answer: longer than a look is fresh and a claim goes without renewal."""

_SENT_AT = re.compile(rb'("sentAt":")([^"]{24})"')

_KINDS = {"cohorts": "list", "usage": "usage", "file": "download", "cohort.csv": "download", "batch": "batch"}


@dataclass
class Mail:
    """What was ever sent to Segment, and what is still on its way.

    Attributes:
        told: by destination, trait, user and plan, which the message ID begins with, the message IDs and values under
            which a user was told.
        late: requests whose client heard nothing and that have not arrived yet, and when each left.
    """

    told: dict[tuple[str, str, str, str], set[tuple[str, bool]]] = field(default_factory=dict)
    late: list[tuple[requests.PreparedRequest, float]] = field(default_factory=list)

    def remember(self, destination: str, body: bytes) -> None:
        for message in json.loads(body)["batch"]:
            for trait, value in message.get("traits", {}).items():
                place = (destination, trait, message["userId"], message["messageId"].partition("-")[0])
                self.told.setdefault(place, set()).add((message["messageId"], value))

    def sent_twice(self) -> int:
        """Return how many users were sent twice in one plan under two message IDs."""
        return sum(len(messages) > 1 for messages in self.told.values())

    def deliver_late(self, count: int, now: float) -> int:
        """Let the oldest late requests arrive at ``now``; return how many did."""
        arriving, self.late = self.late[:count], self.late[count:]
        with requests.Session() as session:
            session.trust_env = False
            for request, left_at in arriving:
                _let_pass(request, now - left_at)
                session.send(request, timeout=5)
        return len(arriving)


class Wire(HTTPAdapter):
    """Carries the requests of one process to one place."""

    def __init__(self, process: Process, world: World, place: str = RUN) -> None:
        super().__init__(pool_maxsize=8)
        self._process = process
        self._time = world.time
        self._mail = world.mail
        self._book = world.book
        self._place = place

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kind, left_at = _kind(request.path_url), self._time.seconds
        with self._process.step(Step(self._place, kind)) as accident:
            if kind == "profile":
                self._process.asked_at[request.path_url] = self._time.seconds
            if kind == "batch" and isinstance(request.body, bytes):
                self._mail.remember(self._place, request.body)
            if accident == "late batch":
                self._mail.late.append((request, left_at))
                raise requests.ReadTimeout
            _let_pass(request, self._time.seconds - left_at)
            response = super().send(request, *args, **kwargs)
            if kind == "request" and response.ok:
                self._process.has_unsaved_export = True
                self._book.note_request(self._process, response.content, self._time.seconds)
            if accident == "time-out after effect":
                response.close()
                raise requests.ReadTimeout
            if accident == "slow answer":
                self._time.pass_by(_SLOW_SECONDS)
            return response


def _let_pass(request: requests.PreparedRequest, seconds: float) -> None:
    """Let the time that a body was on its way pass for its sender, too.

    Segment takes what a body is late for a clock that is behind, and dates its messages later by as much. No protocol
    can heal that; what is tested here is what happens to a late body that is not.
    """
    if isinstance(request.body, bytes) and (found := _SENT_AT.search(request.body)) and seconds > 0:
        moment = datetime.fromisoformat(found[2].decode()).timestamp() + seconds
        request.body = request.body[: found.start(2)] + timestamp(moment).encode() + request.body[found.end(2) :]


def _kind(path: str) -> str:
    """Return what is asked.

    >>> [_kind(path) for path in ("/v1/batch", "/api/3/cohorts", "/api/5/cohorts/request/c1", "/public-api/sources")]
    ['batch', 'list', 'request', 'public']
    """
    for kind in ("public", "profile"):
        if path.startswith(f"/{kind}-api/"):
            return kind
    parts = path.partition("?")[0].rstrip("/").split("/")
    return _KINDS.get(parts[-1]) or ("status" if parts[-2] == "request-status" else "request")
