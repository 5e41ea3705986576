"""What a sync says with the assets that a DAG's author declares as outlets; none is added by itself.

The event of an asset carries the sync's counts, flat. An alias gets an asset for each destination; Airflow 2.11 does
without, as a run there fails on an alias that its database has not heard of yet.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_amplitude_segment.task.parameters import read_connection_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

log = logging.getLogger(__name__)

SUMMED = (
    "entered",
    "exited",
    "retired",
    "changed",
    "in_doubt",
    "unchanged",
    "planned",
    "acknowledged",
    "rejected",
    "skipped",
)
_OF_EACH = ("entered", "exited", "acknowledged", "rejected", "known", "trait")

_HAS_ASSETS = Asset.__name__ == "Asset"
"""Airflow 3 has; 2.11 calls them datasets."""


def event_extra(report: SyncReport, *destinations: DestinationReport) -> dict[str, str | int | bool | None]:
    """Return what an event tells: the cohort, sums over destinations, and ``<connection>.<count>`` for each of them.

    JSON scalars, no user ID.

    Args:
        report: of the sync.
        destinations: those the event is about; none means all.
    """
    about = destinations or report.destinations
    return {
        "cohort_id": report.cohort_id,
        "cohort_name": report.cohort_name,
        "export_request_id": report.export_request_id,
        "members": report.members,
        "anonymous": report.anonymous,
        "dry_run": report.dry_run,
        **{name: sum(getattr(told, name) for told in about) for name in SUMMED},
        "segment_conn_ids": ",".join(told.segment_conn_id for told in about),
        **{f"{told.segment_conn_id}.{name}": getattr(told, name) for told in about for name in _OF_EACH},
    }


def asset_uri(amplitude_conn_id: str, cohort_id: str, segment_conn_id: str) -> str:
    """Return the address of a cohort at a destination, as the way it goes.

    >>> asset_uri("amplitude_default", "26umsb5", "segment_default")
    'x-amplitude-segment://amplitude_default/26umsb5/segment_default'
    """
    return "x-amplitude-segment://" + "/".join(
        quote(part, safe="") for part in (amplitude_conn_id, cohort_id, segment_conn_id)
    )


def fill_asset_events(
    operator: Any, context: Context, report: SyncReport, news: Sequence[DestinationReport] | None = None
) -> None:
    """Give each declared outlet its event's extra, and each alias its assets. A dry run gives an alias none.

    :param operator: has ``outlets`` and ``amplitude_conn_id``.
    :param context: Airflow's.
    :param report: of a sync that ended well.
    :param news: the destinations whose assets an alias gets; none given means all.
    """
    events = context.get("outlet_events")
    if events is None:
        return
    extra = event_extra(report)
    for outlet in operator.outlets or ():
        if isinstance(outlet, AssetAlias):
            # A retirement asks no Amplitude, so it has no cohort's asset to name.
            if _HAS_ASSETS and not report.dry_run and hasattr(operator, "amplitude_conn_id"):
                _add_to_alias(events[outlet], operator, report, report.destinations if news is None else news)
        elif isinstance(outlet, Asset) or _is_reference(outlet):
            event = events[outlet]
            event.extra = {**event.extra, **extra}


def _add_to_alias(alias: Any, operator: Any, report: SyncReport, about: Sequence[DestinationReport]) -> None:
    amplitude_conn_id = read_connection_id("amplitude_conn_id", operator.amplitude_conn_id)
    for told in about:
        uri = asset_uri(amplitude_conn_id, report.cohort_id, told.segment_conn_id)
        alias.add(Asset(uri), extra=event_extra(report, told))


def _is_reference(outlet: Any) -> bool:
    """Tell whether an outlet names an asset of elsewhere: ``Asset.ref(name=…)`` of Airflow 3."""
    return _HAS_ASSETS and any(kind.__name__ == "AssetRef" for kind in type(outlet).__mro__)
