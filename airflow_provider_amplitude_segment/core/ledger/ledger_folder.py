"""A folder of the state path: whether it is a ledger, by its names and by the mark of its entries.

The state path may be shared, and some of its folders may belong to other programs or be closed to this user. A folder
is a ledger when one of its claims, plans or commits carries the mark. A folder whose entries are all torn may be a
ledger, so it is named to the user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.object_names import Kind, ObjectName, objects_of
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import decode_entry, is_foreign
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerError, StatePathError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.ledger.stream import Store

log = logging.getLogger(__name__)

_ENTRIES: tuple[Kind, ...] = ("claim", "plan", "commit")

_MOST_READ = 3
"""Entries read of each kind, the newest first, because a foreign folder may have many."""

_LISTINGS = 3
"""The folder is listed again where the ledger's owner deletes all listed entries before they are read."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A folder of the state path that cannot be read, or whose entries cannot.

    Attributes:
        place: where it is.
        error: why.
        may_be_ledger: whether its name allows that it is, or holds, a ledger.
    """

    place: str
    error: LedgerError
    may_be_ledger: bool = True

    def __str__(self) -> str:
        """Return one line for the log or the command."""
        if not isinstance(self.error, StatePathError):
            return (
                f"{self.place} was passed over: it has a ledger's entries, and none of them can be read. Restore the "
                "folder from a backup, or move it away."
            )
        line = f"{self.place} was passed over: it cannot be read ({self.error.reason})."
        if self.may_be_ledger:
            return f"{line} If it is a ledger, or holds one, run this again as a user who can read it."
        return f"{line} Its name is not that of a ledger."


PassOver = Callable[[PassedOver], None]
"""Called with each folder that is passed over."""


def warn(passed: PassedOver) -> None:
    """Log a folder that was passed over; raise its error where a retry may read it."""
    if passed.error.retryable:
        raise passed.error
    log.warning("%s", passed)


@dataclass(frozen=True, slots=True)
class LedgerFolder:
    """A folder, as far as it can be read.

    Attributes:
        names: of what is in it; empty where it is another program's, or cannot be read.
        passed_over: why it is unknown whether it is a ledger; ``names`` are set, too, where all entries are torn.
    """

    names: Sequence[str] = ()
    passed_over: PassedOver | None = None

    @property
    def is_ledger(self) -> bool:
        """Whether an entry in it carries this package's mark."""
        return bool(self.names) and self.passed_over is None


def read_folder(store: Store, folder: str) -> LedgerFolder:
    """Return what a folder is, by as few of its entries as show it; its name does not count."""
    unreadable: StatePathError | None = None
    for _ in range(_LISTINGS):
        try:
            names = store.names(folder)
        except StatePathError as error:
            return LedgerFolder(passed_over=PassedOver(store.locate(folder), error))
        torn, foreign, vanished = False, False, False
        for entry in _newest_entries(names):
            try:
                content = store.get(f"{folder}/{entry}")
            except StatePathError as error:
                unreadable = error
                continue
            if decode_entry(content) is not None:
                return LedgerFolder(names)
            vanished = vanished or content is None
            foreign = foreign or is_foreign(content)
            torn = torn or (content is not None and not is_foreign(content))
        if not vanished:
            break
    if foreign:
        return LedgerFolder()
    if unreadable is not None:
        return LedgerFolder(passed_over=PassedOver(store.locate(folder), unreadable))
    if torn:
        damage = LedgerDamagedError(store.locate(folder), "has entries, and none can be read")
        return LedgerFolder(names, PassedOver(store.locate(folder), damage))
    return LedgerFolder()


def _newest_entries(names: Sequence[str]) -> list[ObjectName]:
    return [entry for kind in _ENTRIES for entry in objects_of(names, kind)[: -_MOST_READ - 1 : -1]]
