"""Fetch an export and read its membership; refuse a file that may be cut off."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.disk_space import stating_room, sync_room
from airflow_provider_amplitude_segment.core.engine.scratch import remove_scratch
from airflow_provider_amplitude_segment.core.export.cohort import MAX_EXPORT_MEMBERS
from airflow_provider_amplitude_segment.core.membership.csv_file import inflated_bytes
from airflow_provider_amplitude_segment.core.membership.membership import log_counts, read_membership
from airflow_provider_amplitude_segment.exceptions import ExportCutOffError, ExportFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.engine.database import Engine
    from airflow_provider_amplitude_segment.core.export.exporter import Amplitude
    from airflow_provider_amplitude_segment.core.membership.membership import Membership

log = logging.getLogger(__name__)

_DIFFERENCE = 0.05
"""Share of the listed size by which a file without an announced end may differ (ADR 0021)."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """What is known about an export before its file is read.

    Attributes:
        request_id: Amplitude's ID of it.
        listed: the cohort's size in Amplitude's list; ``None`` where Amplitude never computed it.
        destinations: how many it is compared with; decides how much disk space an error asks for.
    """

    request_id: str
    listed: int | None = None
    destinations: int = 1


def fetch_membership(
    amplitude: Amplitude, facts: ExportFacts, engine: Engine, scratch: Path, properties: Sequence[str] = ()
) -> Membership:
    """Download a completed export and read its members.

    Args:
        amplitude: where the export is.
        facts: of the export.
        engine: reads the file.
        scratch: an existing folder; the membership's Parquet file stays there.
        properties: names of user properties to read too.

    Raises:
        ExportFileError: the file is not a cohort of users, lacks a property, or has 2,000,000 rows or more, the
            most that Amplitude exports.
        ExportCutOffError: it ends early, or may: the response announced no end, and the rows do not fit the listed
            size.
        EngineError: the worker's disk or memory failed.
    """
    request_id = facts.request_id
    file = scratch / "export"
    download = amplitude.download(request_id, file)
    log.info("Fetched export %s: %s bytes", request_id, f"{download.received_bytes:,}")
    # Gzip announces no end: a file may have several members, and the first of them alone is a whole gzip file.
    is_end_announced = download.is_end_announced
    try:
        with (
            stating_room(lambda: sync_room(inflated_bytes(file), facts.destinations)),
            engine.connect() as connection,
        ):
            membership = read_membership(connection, file, scratch, properties, is_end_announced=is_end_announced)
        if not is_end_announced and (fault := find_missing_rows(membership.rows, facts.listed)):
            raise ExportCutOffError(fault)
    except ExportFileError as error:
        raise type(error)(error.fault, request_id) from None
    remove_scratch(file)
    log_counts(membership)
    if membership.rows >= MAX_EXPORT_MEMBERS:
        fault = f"it has {membership.rows:,} rows, and Amplitude cuts an export off at {MAX_EXPORT_MEMBERS:,}"
        raise ExportFileError(fault, request_id)
    return membership


def find_missing_rows(rows: int, listed: int | None) -> str | None:
    """Return why a file without an announced end may be cut off; ``None`` where its rows fit the listed size.

    Amplitude lists the number of a cohort's users, anonymous ones included, as last computed: an export has as many
    rows. An export computes the cohort again, so some difference is usual. A file with far more rows than listed
    shows that the listed size is old, so it cannot show how many rows are missing.

    Args:
        rows: of the file, without its header.
        listed: the cohort's size in Amplitude's list; ``None`` where it was never computed.

    >>> [find_missing_rows(rows, 2_000) is None for rows in (1_598, 1_899, 1_900, 2_000, 2_100, 2_101)]
    [False, False, True, True, True, False]
    >>> find_missing_rows(1_598, 2_000)
    'it has 1,598 rows, Amplitude lists 2,000 users, and the response did not say where the file ends'
    >>> find_missing_rows(11, 12), find_missing_rows(0, 0)
    (None, None)
    """
    if listed is not None and abs(rows - listed) <= max(1, listed * _DIFFERENCE):
        return None
    size = "no size for the cohort" if listed is None else f"{listed:,} users"
    return f"it has {rows:,} rows, Amplitude lists {size}, and the response did not say where the file ends"
