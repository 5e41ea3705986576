"""The run record: what one run remembers of its export over its tries and its deferral.

``<app id>/<cohort id>/runs/<run key>.json``. Written as soon as Amplitude gave the request an ID, so that a second
export is not spent, and forgotten when the run has ended: clearing a task that had finished is a new sync.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.mark import decode_entry, encode_entry
from airflow_provider_amplitude_segment.core.object_names import run_file
from airflow_provider_amplitude_segment.exceptions import StatePathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.entry import Commit, Plan
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream

log = logging.getLogger(__name__)

FILE_SECONDS = 7 * 24 * 3600 - 3600
"""Amplitude keeps an export's file for seven days (amplitude-api.md 1.6); an hour is left for the download."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run's export, and how far it was told.

    Attributes:
        export_request_id: Amplitude's ID of the request.
        requested_at: seconds since 1970.
        generations: by ledger folder, the claim under which the export was requested.
        finished: by ledger folder, the report of a destination that has it committed.
        counts: what it cost and its file came to, by the report's names; what is not known yet is missing.
        user_properties: names of those that were exported along, sorted.
    """

    export_request_id: str
    requested_at: float
    generations: Mapping[str, int]
    finished: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    user_properties: tuple[str, ...] = ()

    def is_usable(self, unfinished: Mapping[str, Plan | Commit | None], now: float) -> bool:
        """Tell whether this export may still be told: an older export is never told after a newer one.

        Args:
            unfinished: by ledger folder, the newest entry of each destination that is not finished.
            now: seconds since 1970.
        """
        if now - self.requested_at > FILE_SECONDS:
            return False
        return not any(
            newest is not None
            and newest.export_request_id != self.export_request_id
            and newest.generation > self.generations.get(folder, 0)
            for folder, newest in unfinished.items()
        )


def read_run_record(store: Store, stream: Stream, run: Run) -> RunRecord | None:
    """Return the run's record; ``None`` where there is none, or only what a dying writer left."""
    entry = decode_entry(store.get(_name(stream, run))) or {}
    try:
        requested_at = float(entry["requested_at"])
        timestamp(requested_at)  # raises where it is no time
        return RunRecord(
            str(entry["export_request_id"]),
            requested_at,
            {str(folder): int(n) for folder, n in entry["generations"].items()},
            dict(entry["finished"]),
            dict(entry["counts"]),
            # Not there where an earlier version wrote it.
            tuple(map(str, entry.get("user_properties", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, RecursionError):
        return None


def write_run_record(store: Store, stream: Stream, run: Run, record: RunRecord) -> None:
    """Remember the run's export."""
    entry = {
        "run": run.label,
        "export_request_id": record.export_request_id,
        "requested_at": record.requested_at,
        "generations": dict(record.generations),
        "finished": dict(record.finished),
        "counts": dict(record.counts),
        "user_properties": list(record.user_properties),
    }
    store.put(_name(stream, run), encode_entry(entry))


def forget_run(store: Store, stream: Stream, run: Run) -> None:
    """Let the run's next sync, if it is cleared, begin with an export of its own."""
    store.delete(_name(stream, run))


def forget_run_in_passing(store: Store, stream: Stream, run: Run) -> None:
    """Forget the run; an error that is on its way matters more than whether that can be written."""
    try:
        forget_run(store, stream, run)
    except StatePathError as error:
        log.warning("The run's export could not be forgotten, and will be used again: %s", error)


def _name(stream: Stream, run: Run) -> str:
    return f"{stream.cohort_folder}/{run_file(run.key)}"
