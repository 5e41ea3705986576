"""A Segment that drops copies by message ID and keeps the trait value with the newest timestamp.

It corrects a timestamp by ``sentAt``, as Segment does (https://www.twilio.com/docs/segment/connections/spec/common).
"""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged, Rejected, Response, no_response


class Source:
    """A Segment source that answers as a function says."""

    def __init__(self, take: Callable[[bytes], Response], added_bytes: int = 0) -> None:
        self._take = take
        self.added_bytes = added_bytes

    def post_batch(self, body: bytes, *, retry: int) -> Response:  # noqa: ARG002 - it is a header only
        return self._take(body)


class FakeSegment:
    """One Segment for all write keys.

    Attributes:
        script: answers given instead of the real one, first to first; ``None`` stands for the real one. An answer in
            ``lost`` is given although the batch was taken.
        poisoned: users whose messages make Segment refuse the whole batch.
        added_bytes: what the client says that it adds to each body.
        before_batch: called with the messages of each batch, before it is taken.
        before_answer: called after a batch was taken, before it is answered.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.script: list[Response | None] = []
        self.lost: list[Response] = []
        self.poisoned: set[str] = set()
        self.refuses_everything = False
        self.refuses_connections = False
        self.before_batch: Callable[[list[dict[str, Any]]], None] = lambda _messages: None
        self.before_answer: Callable[[], None] = lambda: None
        self.added_bytes = 0
        self.bodies: list[dict[str, Any]] = []
        self.times_received: dict[str, int] = {}
        # Users whose messages are acknowledged and lost.
        self.loses: set[str] = set()
        # When each identify was taken, and by which source.
        self.taken_at: list[tuple[float, str]] = []
        # By write key and user, the events that a journey received, in order.
        self.journeys: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
        self._values: dict[tuple[str, str, str], tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def source(self, write_key: str) -> "Source":
        """The Segment source with a write key."""

        def take(body: bytes) -> Response:
            taken = self._take(write_key, json.loads(body))
            self.before_answer()
            return taken

        return Source(take, self.added_bytes)

    def _take(self, write_key: str, body: dict[str, Any], skew: float | None = None) -> Response:
        self.before_batch(body["batch"])
        with self._lock:
            if self.refuses_connections:
                return no_response("ConnectionError")
            if self.script and (answer := self.script.pop(0)) is not None:
                return answer
            if self.refuses_everything or any(m["userId"] in self.poisoned for m in body["batch"]):
                return Rejected(400, "invalid message")
            self.bodies.append(body)
            for message in body["batch"]:
                self._apply(write_key, message, self.skew(body) if skew is None else skew)
            return self.lost.pop(0) if self.lost else Acknowledged()

    def skew(self, body: dict[str, Any]) -> float:
        """By how many seconds the sender's clock is behind."""
        return self._now() - datetime.fromisoformat(body["sentAt"]).timestamp()

    def _apply(self, write_key: str, message: dict[str, Any], skew: float = 0.0) -> None:
        seen = self.times_received.get(message["messageId"], 0)
        self.times_received[message["messageId"]] = seen + 1
        if seen:
            return
        if message["type"] == "identify":
            self.taken_at.append((self._now(), write_key))
        if message["userId"] in self.loses:
            return
        if message["type"] == "track":
            journey = self.journeys.setdefault((write_key, message["userId"]), [])
            journey.append((message["event"], message["properties"]))
            return
        moment = datetime.fromisoformat(message["timestamp"]).timestamp() + skew
        for trait, value in message["traits"].items():
            pair = (write_key, trait, message["userId"])
            if moment >= self._values.get(pair, (0.0, False))[0]:
                self._values[pair] = (moment, value)

    def forget_after(self, messages: int) -> None:
        """Lose everything that was taken after the first messages."""
        taken = [message for body in self.bodies for message in body["batch"]][:messages]
        self._values.clear()
        self.times_received.clear()
        for message in taken:
            self._apply("default", message)

    def members(self, trait: str, write_key: str = "default") -> set[str]:
        return {u for (key, t, u), (_, value) in self._values.items() if (key, t) == (write_key, trait) and value}

    def traits(self, user: str, write_key: str = "default") -> dict[str, Any]:
        return {t: value for (key, t, u), (_, value) in self._values.items() if (key, u) == (write_key, user)}

    def journey(self, user: str, write_key: str = "default") -> list[str]:
        """The names of the events that a journey received of a user, in order."""
        return [event for event, _ in self.journeys.get((write_key, user), [])]

    def former(self, trait: str, write_key: str = "default") -> set[str]:
        return {u for (key, t, u), (_, value) in self._values.items() if (key, t) == (write_key, trait) and not value}

    def known_users(self, write_key: str = "default") -> list[str]:
        """Users with a value, the one with the oldest value first."""
        values = [(moment, user) for (key, _, user), (moment, _) in self._values.items() if key == write_key]
        return [user for _, user in sorted(values)]

    @property
    def identifies(self) -> int:
        return sum(len(body["batch"]) for body in self.bodies)
