"""The report's file: one a try in each ledger, successful or not, for whoever asks later what a sync did."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger import Ledger
from airflow_provider_amplitude_segment.core.report import DestinationReport
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.entry import PlanMode
    from airflow_provider_amplitude_segment.core.report import SyncReport
    from airflow_provider_amplitude_segment.core.stream import Destination, Store, Stream

log = logging.getLogger(__name__)


def complete_report(
    report: SyncReport, destinations: Sequence[Destination], mode: PlanMode, error: BaseException | None
) -> SyncReport:
    """Return the report with an entry for each destination, and the error where it is not committed."""
    known = {entry.destination for entry in report.destinations}
    for destination in destinations:
        if destination.name not in known:
            report = report.with_destination(DestinationReport(destination.segment_conn_id, destination.name, mode))
        entry = report.destination(destination.name)
        if error is not None and entry.error is None and not entry.committed:
            report = report.with_destination(replace(entry, error=error_text(error)))
    return report


def error_text(error: BaseException) -> str:
    """Return what may be told of an error: the text of one that is not ours may quote anything, so only its name."""
    return str(error) if isinstance(error, AmplitudeSegmentError) else type(error).__name__


def save_report(store: Store, report: SyncReport, claims: Mapping[Stream, int]) -> None:
    """Write ``reports/<claim>.json`` for each stream still claimed; the sync's end does not hang on it."""
    for stream, generation in claims.items():
        try:
            Ledger(store, stream.folder).put_report(generation, report.as_dict())
        except StatePathError as error:
            log.warning("The report could not be kept: %s", error)
