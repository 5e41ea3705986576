"""The traits that the messages of one source set."""

from __future__ import annotations

from typing import Any

Known = tuple[float, Any]
"""Moment of a value, and the value."""


class SourceTraits:
    """The newest value of each trait and user. It has no lock of its own."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._values: dict[str, dict[str, Known]] = {}
        self._users_without_traits: set[str] = set()
        # (trait, user) -> for each value that profiles show only later: from when, and what they show until then
        self._hidden: dict[tuple[str, str], list[tuple[float, Known | None]]] = {}

    def learn(self, user_id: str, traits: dict[str, Any], moment: float, visible_from: float | None) -> None:
        """Keep the value with the newest moment in any order of arrival; of equal ones the later arrival.

        With ``visible_from``, ``visible`` returns the value only from that time on.
        """
        if not traits:
            self._users_without_traits.add(user_id)
        for trait, value in traits.items():
            users = self._values.setdefault(trait, {})
            known = users.get(user_id)
            if known is None or moment >= known[0]:
                users[user_id] = (moment, value)
                if visible_from is not None:
                    self._hidden.setdefault((trait, user_id), []).append((visible_from, known))

    def users(self, trait: str, *, value: bool) -> set[str]:
        """Return the users whose trait has this value."""
        return {user_id for user_id, (_, held) in self._values.get(trait, {}).items() if held is value}

    def of_user(self, user_id: str) -> dict[str, Any]:
        """Return all traits of a user."""
        return {trait: users[user_id][1] for trait, users in self._values.items() if user_id in users}

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the users with ``true`` and with ``false``, for each trait."""
        return {
            trait: {
                "true": sum(value is True for _, value in users.values()),
                "false": sum(value is False for _, value in users.values()),
            }
            for trait, users in self._values.items()
        }

    def visible(self, user_id: str, now: float) -> dict[str, Known] | None:
        """Return what profiles show of a user at a time; ``None`` if they know no such user."""
        shown: dict[str, Known] = {}
        for trait, users in self._values.items():
            known = users.get(user_id)
            for visible_from, until_then in self._hidden.get((trait, user_id), ()):
                if visible_from > now:
                    known = until_then
                    break
            if known is not None:
                shown[trait] = known
        return shown if shown or user_id in self._users_without_traits else None
