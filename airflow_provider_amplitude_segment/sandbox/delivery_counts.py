"""How many messages of each source Segment received, failed on ingest, filtered and delivered, by minute."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_amplitude_segment.sandbox.segment_message import app_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Step = Literal["received", "failed", "filtered", "delivered"]
MINUTE = 60


class Counted(NamedTuple):
    """What is counted together."""

    step: Step
    event_type: str
    event_name: str
    app_version: str
    reason: str
    """Why it failed or was filtered; else empty."""


class IntakeCounts:
    """The counts of one batch. A message that is filtered or delivered was received too."""

    def __init__(self, envelope: dict[str, Any]) -> None:
        self._version = app_version(envelope)
        self._counts: dict[tuple[Step, Any, Any, str, str], int] = {}

    def add(self, step: Step, message: Any, reason: str) -> None:
        """Count one message."""
        if isinstance(message, dict):
            # Most messages have no context of their own, and reading it costs more than the rest.
            version = app_version(message) or self._version if "context" in message else self._version
            key = (step, str(message.get("type", "")), str(message.get("event", "")), version, reason)
        else:
            key = (step, "", "", self._version, reason)
        self._counts[key] = self._counts.get(key, 0) + 1

    def by_step(self) -> Counter[Counted]:
        """Return the counts of all steps."""
        counts: Counter[Counted] = Counter()
        for key, count in self._counts.items():
            counted = Counted(*key)
            counts[counted] += count
            if counted.step != "failed":
                counts[counted._replace(step="received", reason="")] += count
        return counts


class DeliveryCounts:
    """The counts by source, minute and kind. It has no lock of its own."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[int, Counted]]] = {}
        self._later: list[tuple[float, str, int, Counter[Counted]]] = []

    def add(self, source_id: str, now: float, counts: Mapping[Counted, int], delay_seconds: float) -> None:
        """Count what arrived now; ``between`` returns it after the delay."""
        minute = int(now // MINUTE) * MINUTE
        self._later.append((now + delay_seconds, source_id, minute, Counter(counts)))
        if delay_seconds <= 0:
            self._fold(now)

    def between(self, source_id: str, since: float, until: float, now: float) -> Iterator[tuple[int, Counted, int]]:
        """Yield minute, kind and count of the minutes from the one of ``since`` up to before ``until``."""
        self._fold(now)
        first = int(since // MINUTE) * MINUTE
        for (minute, counted), count in self._counts.get(source_id, Counter()).items():
            if first <= minute < until:
                yield minute, counted, count

    def _fold(self, now: float) -> None:
        waiting = []
        for due, source_id, minute, counts in self._later:
            if due > now:
                waiting.append((due, source_id, minute, counts))
                continue
            kept = self._counts.setdefault(source_id, Counter())
            for counted, count in counts.items():
                kept[minute, counted] += count
        self._later = waiting
