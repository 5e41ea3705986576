"""Name what a delivery uses outside of core: Segment, the ledgers, time, randomness, and the worker's disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from airflow_provider_amplitude_segment.core.report.progress import show_nothing

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.delivery.response import Response
    from airflow_provider_amplitude_segment.core.engine.database import Engine
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Store
    from airflow_provider_amplitude_segment.core.report.progress import Show
    from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess


class Segment(Protocol):
    """A client of one Segment source, which is a destination."""

    @property
    def added_bytes(self) -> int:
        """The bytes that the client adds to each body, which count towards Segment's limit."""

    def post_batch(self, body: bytes, *, retry: int) -> Response:
        """Post a body, and return what the response means. Raises nothing.

        ``retry`` is 0 for the first request, and grows by one with each retry.
        """


def show_no_sources(destinations: Collection[Destination]) -> None:
    """Do nothing with destinations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPorts:
    """What a delivery uses outside of core.

    Attributes:
        segment_clients: by destination, the client of its Segment source.
        store: holds the ledgers.
        clock: time.
        random_source: randomness.
        stop: set when the task must end.
        scratch: an empty folder on the worker's disk; the caller removes it.
        engine: works in that folder; the caller closes it.
        integration: name and version that Segment receives as ``context.integration``.
        public_apis: by a destination's name, the Public API that proves its write key; a destination may have none.
        show: receives the progress.
        show_sources: receives the destinations whose slugs were found.
        room_bytes: estimated peak use of the scratch folder's disk; ``None`` before it is known.
    """

    segment_clients: Mapping[Destination, Segment]
    store: Store
    clock: Clock
    random_source: RandomSource
    stop: threading.Event
    scratch: Path
    engine: Engine
    integration: Mapping[str, str]
    public_apis: Mapping[str, PublicApiAccess] = field(default_factory=dict)
    show: Show = show_nothing
    show_sources: Callable[[Collection[Destination]], None] = show_no_sources
    room_bytes: int | None = None
