"""The room that a sync, a retirement, a rollback or an erasure needs in the worker's temporary folder, in bytes.

A sync keeps the export there, compressed and inflated, then for each destination the state before and after it, its
changes, and what the engine cannot hold in memory. The factors are rounded up from measurements with up to 1,999,999
members (docs/explanation/performance.md, "Disk space in the temporary folder").
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.export.cohort import MAX_EXPORT_MEMBERS
from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_amplitude_segment.core.ledger.entry import Commit

_ROW_BYTES = 64
"""Of a row of an expected export: a user ID of up to 46 characters, and the fields and marks around it."""

_PROPERTY_BYTES = 24

_LEAST_BYTES = 1_000_000

_OF_EXPORT = 2
_OF_EXPORT_FOR_EACH_DESTINATION = 6

# Times the bytes of a state's files, which compress user IDs to about half.
_OF_STATE_TO_RETIRE = 12
_OF_STATE_TO_ROLL_BACK = 40
_OF_STATE_TO_ERASE = 4


def listed_export_bytes(members: int | None, properties: int) -> int:
    """Estimate the uncompressed bytes of a cohort's export, by the number of members that Amplitude lists.

    Without a number, this is the size of the largest export.

    >>> listed_export_bytes(300_000, 0), listed_export_bytes(300_000, 5)
    (19200000, 55200000)
    """
    rows = MAX_EXPORT_MEMBERS if members is None else members
    return rows * (_ROW_BYTES + _PROPERTY_BYTES * properties)


def sync_room(export_bytes: int, destinations: int) -> int:
    """Return the room of a sync, by the uncompressed bytes of its export.

    >>> sync_room(92_000_000, 1)
    737000000
    """
    return _LEAST_BYTES + export_bytes * (_OF_EXPORT + _OF_EXPORT_FOR_EACH_DESTINATION * destinations)


def retirement_room(newest: Iterable[Plan | Commit | None]) -> int:
    """Return the room of a retirement, by the newest entries of its destinations' ledgers."""
    return _LEAST_BYTES + _OF_STATE_TO_RETIRE * sum(map(_stored_bytes, newest))


def rollback_room(entries: Iterable[Plan | Commit]) -> int:
    """Return the room of a rollback, by the ledger's entries."""
    return _LEAST_BYTES + _OF_STATE_TO_ROLL_BACK * max(map(_stored_bytes, entries), default=0)


def erasure_room(entries: Iterable[Plan | Commit]) -> int:
    """Return the room of an erasure, by the ledger's entries."""
    return _LEAST_BYTES + _OF_STATE_TO_ERASE * max(map(_stored_bytes, entries), default=0)


@contextmanager
def stating_room(needed_bytes: Callable[[], int | None]) -> Iterator[None]:
    """Add the room that the body needs to an error of the temporary folder; ``needed_bytes`` is called only then."""
    try:
        yield
    except EngineError as error:
        stated = error
        if error.folder is not None:
            # The store may fail, too; the disk's error is raised then without a number.
            with suppress(AmplitudeSegmentError):
                stated = error.needing(needed_bytes())
        if stated is error:
            raise
        raise stated from error.__cause__


def _stored_bytes(entry: Plan | Commit | None) -> int:
    """Return the bytes of the files with an entry's state."""
    if entry is None:
        return 0
    if isinstance(entry, Plan):
        return entry.changes.size + (entry.base.size if entry.base else 0)
    return entry.snapshot.size
