"""The book of claims: who holds what by the right clock, and whether a claim was taken over while it was live."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.process import Process


@dataclass(frozen=True, slots=True)
class _Held:
    generation: int
    owner: str
    ahead: float
    written_at: float
    seconds: float
    released: bool

    def is_live(self, now: float) -> bool:
        return not self.released and now < self.written_at + self.seconds


@dataclass
class ClaimBook:
    """Kept beside the package's own claims, from what was written into the store.

    Attributes:
        taken_over: claims that another run, or the same run of another Airflow, took over while they were live.
    """

    taken_over: list[str] = field(default_factory=list)
    _newest: dict[str, _Held] = field(default_factory=dict)
    _clocks_behind: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, place: str, content: bytes, owner: Process, now: float) -> None:
        """Note a claim that was written just now; its owner may have been paused since it dated it."""
        entry = json.loads(content)
        dated_at, ends_at = entry["written_at_epoch"] - owner.ahead, entry["expires_at_epoch"] - owner.ahead
        held = _Held(entry["generation"], owner.who, owner.ahead, dated_at, ends_at - dated_at, entry["released"])
        with self._lock:
            self._clocks_behind |= owner.ahead < 0
            before = self._newest.get(place)
            if before is not None and held.generation > before.generation:
                self._judge(place, before, held, now)
            if before is None or held.generation >= before.generation:
                self._newest[place] = held

    def _judge(self, place: str, before: _Held, taken: _Held, now: float) -> None:
        """Hold it against a taker that it took a live claim, unless a clock that is too late excuses it.

        To a worker whose clock is ahead of the owner's, each claim seems old; and one whose clock is behind may make
        others believe that a claim was seen long ago (ADR 0019).
        """
        is_excused = taken.ahead > before.ahead or self._clocks_behind
        if before.owner != taken.owner and before.is_live(now) and not is_excused:
            self.taken_over.append(f"{place}: {taken.owner} took claim {before.generation} over from {before.owner}")
