"""The profiles of the stand-in space: what all sources together say of one user."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox.rate_window import RateWindow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_amplitude_segment.sandbox.source_traits import SourceTraits

PROFILE_TOKEN = "sbxProfileApiToken000000000001"  # noqa: S105 - of the sandbox, which holds no secret
SPACE_ID = "spa_sandbox"
REQUESTS_A_SECOND = 100
REQUESTS_KEPT = 1_000_000


@dataclass(frozen=True, slots=True)
class ProfileTrait:
    """A trait of a profile."""

    value: Any
    source_id: str
    updated: float


@dataclass(frozen=True, slots=True, repr=False)
class Profile:
    """What the space knows of one person."""

    traits: dict[str, ProfileTrait]
    user_ids: dict[str, tuple[str, float]]
    """Of each user ID the source that sent it and the moment of its oldest value."""


@dataclass(slots=True)
class SandboxProfiles:
    """The space that the Profile API reads, and what the API lets pass."""

    token: str = field(default=PROFILE_TOKEN, repr=False)
    space_id: str = SPACE_ID
    requests_per_second: int | None = REQUESTS_A_SECOND
    lower_cases_ids: bool = True
    """Whether a profile is stored under the lower-case ID, so that a query in other case finds none."""
    window: RateWindow = field(default_factory=lambda: RateWindow(1), repr=False)
    request_times: deque[float] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT), repr=False)
    """When requests arrived, by the sandbox's clock, those with an error included."""
    _spellings: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _merged: dict[str, set[str]] = field(default_factory=dict, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def merge(self, *user_ids: str) -> None:
        """Make one profile of these user IDs, as identity resolution does."""
        with self._lock:
            together = {self._stored(user_id) for user_id in user_ids}
            for user_id in tuple(together):
                together |= self._merged.get(user_id, set())
            for user_id in together:
                self._merged[user_id] = together

    def notice(self, user_id: str) -> None:
        """Remember how a user ID was written."""
        lower = user_id.lower()
        if lower != user_id:
            with self._lock:
                self._spellings.setdefault(lower, set()).add(user_id)

    def forget(self) -> None:
        """Delete what was noticed and merged; the settings stay."""
        with self._lock:
            self._spellings.clear()
            self._merged.clear()
            self.request_times.clear()
            self.window = RateWindow(1)

    def read(self, user_id: str, sources: Mapping[str, SourceTraits], now: float) -> Profile | None:
        """Return the profile of a user ID, of the sources' traits by source ID; ``None`` if there is none."""
        with self._lock:
            if self._stored(user_id) != user_id:
                return None
            spellings = {stored: self._written(stored) for stored in self._merged.get(user_id, {user_id})}
        traits: dict[str, ProfileTrait] = {}
        user_ids: dict[str, tuple[str, float]] = {}
        for stored, written in spellings.items():
            for source_id, known in _all_known(written, sources, now):
                moments = [moment for moment, _ in known.values()]
                user_ids.setdefault(stored, (source_id, min(moments, default=now)))
                for trait, (moment, value) in known.items():
                    # profile-api.md: the "last updated precedence order" over all sources.
                    if trait not in traits or moment >= traits[trait].updated:
                        traits[trait] = ProfileTrait(value, source_id, moment)
        if not user_ids:
            return None
        for stored in spellings:  # of a merged profile, a user ID that no message had is known by the merge alone
            user_ids.setdefault(stored, next(iter(user_ids.values())))
        # unify/faqs.md: a trait that is null is removed.
        kept = {trait: held for trait, held in sorted(traits.items()) if held.value is not None}
        return Profile(kept, user_ids)

    def _stored(self, user_id: str) -> str:
        return user_id.lower() if self.lower_cases_ids else user_id

    def _written(self, stored: str) -> list[str]:
        spellings = self._spellings.get(stored, set()) if self.lower_cases_ids else set()
        return sorted({stored} | spellings)


def _all_known(
    written: Iterable[str], sources: Mapping[str, SourceTraits], now: float
) -> Iterable[tuple[str, dict[str, tuple[float, Any]]]]:
    for user_id in written:
        for source_id, traits in sources.items():
            known = traits.visible(user_id, now)
            if known is not None:
                yield source_id, known
