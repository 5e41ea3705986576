"""Fill the events of the assets that a DAG's author declares as outlets.

The event of an asset has the sync's counts, flat. On Airflow 3 an alias gets an asset for each destination. On 2.11 an
alias gets none, because a run fails there on an alias that its database does not have yet.
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
"""Whether Airflow has assets: 3.x has, 2.11 calls them datasets."""


def event_extra(report: SyncReport, *destinations: DestinationReport) -> dict[str, str | int | bool | None]:
    """Return an event's extra: the cohort, sums over destinations, and ``<connection>.<count>`` of each destination.

    All values are JSON scalars, without user IDs.

    Args:
        report: of the sync.
        destinations: those that the event is about; none means all.
    """
    about = destinations or report.destinations
    return {
        "cohort_id": report.cohort_id,
        "cohort_name": report.cohort_name,
        "export_request_id": report.export_request_id,
        "members": report.members,
        "anonymous": report.anonymous,
        "dry_run": report.dry_run,
        **{name: sum(getattr(destination, name) for destination in about) for name in SUMMED},
        "segment_conn_ids": ",".join(destination.segment_conn_id for destination in about),
        **{f"{each.segment_conn_id}.{name}": getattr(each, name) for each in about for name in _OF_EACH},
    }


def asset_uri(amplitude_conn_id: str, cohort_id: str, segment_conn_id: str) -> str:
    """Return the URI of the asset of a cohort at a destination.

    >>> asset_uri("amplitude_default", "26umsb5", "segment_default")
    'x-amplitude-segment://amplitude_default/26umsb5/segment_default'
    """
    return "x-amplitude-segment://" + "/".join(
        quote(part, safe="") for part in (amplitude_conn_id, cohort_id, segment_conn_id)
    )


def fill_asset_events(
    operator: Any, context: Context, report: SyncReport, changed: Sequence[DestinationReport] | None = None
) -> None:
    """Set the extra of each declared outlet's event, and add each alias's assets. A dry run adds no assets.

    :param operator: has ``outlets`` and ``amplitude_conn_id``.
    :param context: Airflow's.
    :param report: of a sync that succeeded.
    :param changed: the destinations whose assets an alias gets; ``None`` means all.
    """
    events = context.get("outlet_events")
    if events is None:
        return
    extra = event_extra(report)
    for outlet in operator.outlets or ():
        if isinstance(outlet, AssetAlias):
            # The retire operator has no Amplitude connection, which the asset's URI needs.
            if _HAS_ASSETS and not report.dry_run and hasattr(operator, "amplitude_conn_id"):
                _add_to_alias(events[outlet], operator, report, report.destinations if changed is None else changed)
        elif isinstance(outlet, Asset) or _is_reference(outlet):
            event = events[outlet]
            event.extra = {**event.extra, **extra}


def _add_to_alias(alias: Any, operator: Any, report: SyncReport, about: Sequence[DestinationReport]) -> None:
    amplitude_conn_id = read_connection_id("amplitude_conn_id", operator.amplitude_conn_id)
    for destination in about:
        uri = asset_uri(amplitude_conn_id, report.cohort_id, destination.segment_conn_id)
        alias.add(Asset(uri), extra=event_extra(report, destination))


def _is_reference(outlet: Any) -> bool:
    """Return whether an outlet refers to an asset declared elsewhere: ``Asset.ref(name=…)`` of Airflow 3."""
    return _HAS_ASSETS and any(kind.__name__ == "AssetRef" for kind in type(outlet).__mro__)
