"""What a sync, or a retirement, meets outside of core, in one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.export.exporter import Amplitude


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPorts(DeliveryPorts):
    """What a sync meets on top.

    Attributes:
        amplitude: where the cohort is.
    """

    amplitude: Amplitude
