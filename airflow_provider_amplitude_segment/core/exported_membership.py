"""The membership that one export tells: fetched, read, and refused where Amplitude may have cut it off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.cohort import MAX_EXPORT_MEMBERS
from airflow_provider_amplitude_segment.core.engine import open_engine
from airflow_provider_amplitude_segment.core.membership import inflated_bytes, read_membership
from airflow_provider_amplitude_segment.core.room import stating_room, sync_room
from airflow_provider_amplitude_segment.core.scratch import remove_scratch
from airflow_provider_amplitude_segment.core.user_properties import MAX_BYTES
from airflow_provider_amplitude_segment.exceptions import ExportFileError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.export_order import Amplitude
    from airflow_provider_amplitude_segment.core.membership import Membership

log = logging.getLogger(__name__)


def fetch_membership(
    amplitude: Amplitude, request_id: str, scratch: Path, properties: Sequence[str] = (), *, destinations: int = 1
) -> Membership:
    """Fetch a completed export and read who is in it.

    Args:
        amplitude: where the export is.
        request_id: Amplitude's ID of it.
        scratch: an existing folder; the membership's Parquet file stays there.
        properties: names of user properties to read along.
        destinations: that it is compared with, for what an error says of the room that takes.

    Raises:
        ExportFileError: the file is not a cohort of users, lacks a property, or holds as many rows as Amplitude
            exports at most.
        ExportCutOffError: it ends early.
        EngineError: the worker's disk or memory failed.
    """
    file = scratch / "export"
    size = amplitude.download(request_id, file)
    log.info("Fetched export %s: %s bytes", request_id, f"{size:,}")
    try:
        with (
            stating_room(lambda: sync_room(inflated_bytes(file), destinations)),
            open_engine(scratch, is_wide=bool(properties)) as engine,
        ):
            membership = read_membership(engine, file, scratch, properties)
    except ExportFileError as error:
        raise type(error)(error.fault, request_id) from None
    remove_scratch(file)
    log.info(
        "The export has %s rows: %s members, %s anonymous (skipped), %s duplicates",
        *(f"{n:,}" for n in (membership.rows, membership.members, membership.anonymous, membership.duplicates)),
    )
    if membership.too_long:
        log.warning(
            "%s members have user properties of more than %s bytes, too much to go along: "
            "they are told without them, and keep what was told before",
            f"{membership.too_long:,}",
            f"{MAX_BYTES:,}",
        )
    if membership.rows >= MAX_EXPORT_MEMBERS:
        fault = f"it has {membership.rows:,} rows, and Amplitude cuts an export off at {MAX_EXPORT_MEMBERS:,}"
        raise ExportFileError(fault, request_id)
    return membership
