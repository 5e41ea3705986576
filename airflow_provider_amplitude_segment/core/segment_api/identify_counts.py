"""How many identifies of one source Segment received, failed on ingest and filtered, in a span of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class IdentifyCounts(NotForXCom):
    """What Segment counts of a source's identifies; other senders of the source are counted too.

    Attributes:
        received: identifies that Segment took.
        failed: by Segment's reason, identifies that it dropped on ingest; ``None`` where only the volume is known.
        filtered: by Segment's reason, identifies that the source's settings or tracking plan dropped; ``None`` as
            above.
        since: beginning of the span, epoch seconds, inclusive.
        until: its end, exclusive.
    """

    received: int
    failed: Mapping[str, int] | None = field(default_factory=dict)
    filtered: Mapping[str, int] | None = field(default_factory=dict)
    since: float = 0.0
    until: float = 0.0
