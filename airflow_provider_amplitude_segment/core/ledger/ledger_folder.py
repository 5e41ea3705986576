"""A folder that may be a ledger: whose it is, by its names and by the mark of its entries.

The state path may be shared, and its folders may belong to others, or be closed to this user. A folder is a ledger when
one of its claims, plans or commits carries the mark. One whose entries are all torn may be one, so it is reported by
name instead of being left out in silence.
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
"""Entries read of each kind, the newest first: a ledger has few, and a foreign folder may have many."""

_LISTINGS = 3
"""A neighbor's run may delete all that was listed before it is read; then the folder is listed again."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A folder of the state path that could not be read, or whose entries could not.

    Attributes:
        place: where it is.
        error: why.
        may_be_ledger: whether it can be, or hold, a ledger by its name.
    """

    place: str
    error: LedgerError
    may_be_ledger: bool = True

    def __str__(self) -> str:
        """Say it in one line."""
        if not isinstance(self.error, StatePathError):
            return (
                f"{self.place} was passed over: it has a ledger's entries, and none of them can be read. Restore it "
                "from a backup, or move it away."
            )
        said = f"{self.place} was passed over: it cannot be read ({self.error.reason})."
        if self.may_be_ledger:
            return f"{said} If it is a ledger, or holds one, run this again as a user who can read it."
        return f"{said} By its name it is no ledger of this package."


PassOver = Callable[[PassedOver], None]
"""Called with each folder that is passed over."""


def warn(passed: PassedOver) -> None:
    """Log what was passed over; raise the error of a place that may be readable by a retry."""
    if passed.error.retryable:
        raise passed.error
    log.warning("%s", passed)


@dataclass(frozen=True, slots=True)
class LedgerFolder:
    """A folder, as far as it could be read.

    Attributes:
        names: of what is in it; empty where another program owns it, or where it cannot be read.
        passed_over: why it is not known whose it is; ``names`` are given beside where entries are torn.
    """

    names: Sequence[str] = ()
    passed_over: PassedOver | None = None

    @property
    def is_ledger(self) -> bool:
        """Whether an entry in it carries this package's mark."""
        return bool(self.names) and self.passed_over is None


def read_folder(store: Store, folder: str) -> LedgerFolder:
    """Return whose a folder is, reading as few of its entries as say so; the folder's name is not looked at."""
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
