"""Name everything outside of core that a sync uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.export.exporter import Amplitude


@dataclass(frozen=True, slots=True)
class SyncPorts:
    """What a sync uses outside of core.

    Attributes:
        amplitude: the source of the cohort.
        delivery: everything else, which a retirement uses as well.
    """

    amplitude: Amplitude
    delivery: DeliveryPorts
