"""What delivery meets outside of core: Segment, the ledgers, time, randomness, and the worker's disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from airflow_provider_amplitude_segment.core.report.progress import show_nothing

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Store
    from airflow_provider_amplitude_segment.core.report.progress import Show


class Segment(Protocol):
    """The Segment source that a destination is."""

    def post_batch(self, body: bytes, *, retry: int) -> Response:
        """Post a body, and return what the response means; ``retry`` counts from 0. Raises nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPorts:
    """What a delivery meets outside of core.

    Attributes:
        segment_clients: by destination, its Segment source.
        store: where the ledgers are.
        clock: time.
        random_source: randomness.
        stop: set when the task is to end.
        scratch: an empty folder on the worker's own disk; the caller removes it.
        integration: name and version that Segment receives as ``context.integration``.
        show: shown how far the sync is.
        room_bytes: about how much of the scratch folder's disk it takes at its peak; ``None`` before that is known.
    """

    segment_clients: Mapping[Destination, Segment]
    store: Store
    clock: Clock
    random_source: RandomSource
    stop: threading.Event
    scratch: Path
    integration: Mapping[str, str]
    show: Show = show_nothing
    room_bytes: int | None = None
