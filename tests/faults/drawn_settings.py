"""The settings of one sync of a history, drawn at random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from faults.strangers import Strangers


def draw_settings(random: Random, more: Random, base: SyncSettings, strangers: Strangers) -> SyncSettings:
    """Draw what a sync does with ``base``; half of the time it takes a trait over from a second task."""
    drawn: dict[str, Any] = {
        "sync_mode": "full" if random.random() < 0.12 else "incremental",
        "on_rejected": random.choice(("fail", "warn")),
        "max_exit_ratio": random.choice((0.5, None)),
        "keep_snapshots": random.choice((1, 5)),
    }
    settings = replace(base, **drawn)
    if settings.on_trait_change == "retire" and more.random() < 0.5 and strangers.is_replaced():
        settings = replace(settings, on_trait_change="take-over")
    return settings
