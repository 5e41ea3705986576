"""Marked copies: folders that hold a ledger's entries under a name that no ledger has.

A person makes one by copying a ledger by hand, as ``1234.bak`` beside ``1234``. No command takes it for a ledger, and
it names users. An erasure that leaves it out in silence would seem to be done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger_folder import read_folder
from airflow_provider_amplitude_segment.core.object_names import is_destination_folder, is_folder
from airflow_provider_amplitude_segment.exceptions import StatePathError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.ledger_folder import PassOver
    from airflow_provider_amplitude_segment.core.stream import Store

_LEVELS = (is_folder, is_folder, is_destination_folder)
"""What the folders of a ledger's path may be called, from the root down."""


def find_marked_copies(store: Store, pass_over: PassOver) -> Iterator[str]:
    """Yield each folder, down to a ledger's level, that carries this package's mark and is no ledger by its name.

    A file is never opened for its name: an archive of a ledger is not found.

    Args:
        store: where the ledgers are.
        pass_over: called with each folder that cannot be read, or whose entries cannot, where ``find_streams`` does
            not do so.

    Raises:
        StatePathError: the root cannot be read.
        StateUnavailableError: a folder cannot be read for now.
    """
    yield from _copies_below(store, (), pass_over)


def _copies_below(store: Store, path: tuple[str, ...], pass_over: PassOver) -> Iterator[str]:
    for name in sorted(store.folders("/".join(path))):
        below = (*path, name)
        is_ours = all(fits(part) for fits, part in zip(_LEVELS, below, strict=False))
        if is_ours and len(below) == len(_LEVELS):
            continue
        found = read_folder(store, "/".join(below))
        passed = found.passed_over
        if found.is_ledger:
            yield "/".join(below)
        elif passed is not None and isinstance(passed.error, StatePathError):
            if passed.error.retryable:
                raise passed.error
            # find_streams reads each folder right below the root, and what can hold a ledger by its name.
            if len(below) > 1 and not is_ours:
                pass_over(replace(passed, may_be_ledger=False))
        elif passed is not None:
            pass_over(passed)
        elif len(below) < len(_LEVELS):
            yield from _copies_below(store, below, pass_over)
