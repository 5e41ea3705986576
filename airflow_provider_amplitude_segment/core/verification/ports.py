"""Name what a verification uses outside of core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.report.progress import show_nothing

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.engine.database import Engine
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Store
    from airflow_provider_amplitude_segment.core.report.progress import Show
    from airflow_provider_amplitude_segment.core.segment_api.ports import ProfileApi, PublicApi
    from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer


@dataclass(frozen=True, slots=True)
class SegmentApis:
    """The clients that can say what Segment has of one destination.

    Attributes:
        conn_id: the Public API connection, for messages.
        public: asks the workspace of the destination.
        profile: asks the space that the workspace feeds; ``None`` where the connection has none.
        region: the workspace's data region, ``US`` or ``EU``; ``None`` where the connection does not say it.
    """

    conn_id: str
    public: PublicApi
    profile: ProfileApi | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPorts:
    """What a verification uses outside of core.

    Attributes:
        apis: by destination, the clients to ask.
        store: holds the ledgers.
        clock: time.
        random_source: jitter of the back-off.
        stop: set when the task must end.
        pacer: of the Profile APIs' requests; their clients call its ``before_request``.
        scratch: an empty folder on the worker's disk; the caller removes it.
        engine: works in that folder; the caller closes it.
        show: receives the progress.
    """

    apis: Mapping[Destination, SegmentApis]
    store: Store
    clock: Clock
    random_source: RandomSource
    stop: threading.Event
    pacer: RequestPacer
    scratch: Path
    engine: Engine
    show: Show = show_nothing
