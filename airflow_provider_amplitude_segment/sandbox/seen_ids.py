"""The message IDs that Segment has seen, by which it drops a copy."""

from __future__ import annotations

from typing import Any

SEEN_IDS = 2_000_000
"""At least this many of the latest message IDs are kept, at most twice as many."""


class SeenIds:
    """The latest message IDs. It has no lock of its own."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    def is_new(self, message_id: Any) -> bool:
        """Remember a message ID, and return whether it had not arrived before."""
        # guides/duplicate-data.md: the messageId alone identifies a copy, "not scoped to a specific source or a
        # workspace".
        mark = hash(message_id) if isinstance(message_id, str) else hash(str(message_id))
        if mark in self._seen or mark in self._seen_before:
            return False
        self._seen.add(mark)
        if len(self._seen) >= SEEN_IDS:
            self._seen, self._seen_before = set(), self._seen
        return True
