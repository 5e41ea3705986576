"""Name everything outside of core that a sync uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.export.exporter import Amplitude
    from airflow_provider_amplitude_segment.core.export.file_set_source import CohortFolder


@dataclass(frozen=True, slots=True)
class SyncPorts:
    """What a sync uses outside of core.

    Attributes:
        amplitude: the source of the cohort, or of its entry in the list alone.
        delivery: everything else, which a retirement uses as well.
        cohort_folder: where Amplitude's cohort files are; ``None`` for an export through the API.
    """

    amplitude: Amplitude
    delivery: DeliveryPorts
    cohort_folder: CohortFolder | None = None
