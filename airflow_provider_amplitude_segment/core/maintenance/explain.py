"""Explain why a user was, or was not, sent: for each destination, from the ledger alone.

Nothing is claimed or written. A sync may run meanwhile: where it prunes what is being read, the ledger is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.maintenance.kept_entries import read_kept_entries
from airflow_provider_amplitude_segment.core.maintenance.user_events import SearchedLedger
from airflow_provider_amplitude_segment.core.maintenance.user_story import UserStory, reasons, stopped_syncs
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerError, UserIdError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream

_READS = 3
"""How often a ledger is read before a missing file counts as damage."""


@dataclass(frozen=True, slots=True)
class Question:
    """Whom to explain, and with what.

    Attributes:
        store: where the ledgers are.
        scratch: an empty folder on this machine.
        user_id: as Amplitude exports it, to the last character.
    """

    store: Store
    scratch: Path
    user_id: str = field(repr=False)


def read_user_id(content: bytes) -> str:
    r"""Return the user ID that a text is: all of it, without one line break at its end.

    Raises:
        UserIdError: it is empty, or not UTF-8.

    >>> read_user_id(b"ann@example.com\n")
    'ann@example.com'
    >>> read_user_id(b' "a\nb"\r\n')
    ' "a\nb"'
    >>> read_user_id(b"ends with a line break\n\n")
    'ends with a line break\n'
    """
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UserIdError("it is not UTF-8") from None
    for end in ("\r\n", "\n"):
        if text.endswith(end):
            text = text.removesuffix(end)
            break
    if not text.strip():
        raise UserIdError("it is empty")
    return text


def explain_user(question: Question, streams: Sequence[Stream]) -> list[UserStory]:
    """Return the answer of each ledger, in order; one that cannot be read has ``error``.

    Raises:
        EngineError: this machine's disk or memory failed.
    """
    stories = []
    with open_engine(question.scratch) as engine:
        for stream in streams:
            try:
                stories.append(_explain(question, stream.folder, engine))
            except LedgerError as error:
                stories.append(UserStory(stream.folder, error=error.summary))
    return stories


def _explain(question: Question, folder: str, engine: duckdb.DuckDBPyConnection) -> UserStory:
    ledger = Ledger(question.store, folder)
    for read in range(1, _READS + 1):
        try:
            kept = read_kept_entries(ledger)
            searched = SearchedLedger(question.store, ledger, kept, question.scratch, question.user_id)
            values = searched.current_rows(engine)
            events, unreadable = searched.events(engine)
        except LedgerDamagedError:
            if read == _READS:
                raise
            continue
        break
    newest = kept.newest
    return UserStory(
        folder,
        newest.segment_conn_id if newest is not None else None,
        newest.trait if newest is not None else None,
        tuple(values),
        tuple(events),
        stopped_syncs(kept),
        reasons(kept, values, events, unreadable),
    )
