"""The ports of a sync: everything outside of core that it meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.export.exporter import Amplitude


@dataclass(frozen=True, slots=True)
class SyncPorts:
    """What a sync meets outside of core.

    Attributes:
        amplitude: where the cohort is.
        delivery: the rest, which a retirement meets as well.
    """

    amplitude: Amplitude
    delivery: DeliveryPorts
