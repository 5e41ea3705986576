"""The events that journeys of a source receive: each ``track`` once by its message ID, in order of arrival."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JourneyEvent:
    """One event of a user, as a journey receives it."""

    event: str
    properties: dict[str, Any] = field(repr=False)
    timestamp: str | None = None
    """As sent; Segment corrects it by the sender's clock."""


class Journeys:
    """The events by source and user. It has no lock of its own."""

    def __init__(self) -> None:
        self._events: dict[str, dict[str, list[JourneyEvent]]] = {}

    def receive(self, source: str, message: dict[str, Any]) -> None:
        """Add a ``track`` that is no copy; one of an anonymous user is in no user's journey."""
        user_id = message.get("userId")
        if user_id is not None:
            event = JourneyEvent(
                str(message.get("event", "")), message.get("properties") or {}, message.get("timestamp")
            )
            self._events.setdefault(source, {}).setdefault(user_id, []).append(event)

    def of_source(self, source: str) -> dict[str, list[JourneyEvent]]:
        """Return the events of each user."""
        return {user_id: list(events) for user_id, events in self._events.get(source, {}).items()}
