"""The mark: it shows that an entry, or a whole state path, is this package's.

A state path may be on a mount or in a bucket that other programs use. So each entry carries the package's name and its
format, and the root of a state path has both in an object of its own. An entry without the mark is foreign: this
package neither claims, overwrites nor deletes it (ADR 0018).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.http.response_body import is_json, read_object
from airflow_provider_amplitude_segment.exceptions import LedgerDamagedError, LedgerFormatError, StateMarkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.ledger.stream import Store

PACKAGE = "airflow-provider-amplitude-segment"

FORMAT = 3
"""The format of entries and of state paths that this version reads and writes."""

MARKER = "amplitude-segment-state.json"
"""The object at the root of a state path that marks it."""

_FOREIGN = "does not carry this package's mark, so another program wrote it"
_FOREIGN_ADVICE = "It was not changed, and nothing was sent or deleted. Move it away, then run this again."


def encode_entry(entry: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """Return an entry's bytes, the mark and the format first.

    >>> encode_entry({"generation": 3})
    b'{"package": "airflow-provider-amplitude-segment", "format": 3, "generation": 3}'
    """
    return json.dumps({"package": PACKAGE, "format": FORMAT, **entry}, indent=indent).encode()


def decode_entry(content: bytes | None) -> dict[str, Any] | None:
    """Return an entry's fields, with its format; ``None`` where it is damaged, foreign or absent.

    >>> decode_entry(encode_entry({"generation": 3}))
    {'format': 3, 'generation': 3}
    >>> decode_entry(b'{"format": 3, "generation": 3}')
    """
    entry = read_object(content or b"")
    return entry if entry is not None and entry.pop("package", None) == PACKAGE else None


def is_foreign(content: bytes | None) -> bool:
    """Return whether another program wrote an object: it is JSON without the mark. Torn JSON may be this package's.

    >>> [is_foreign(content) for content in (b'{"plan": 1}', b"null")]
    [True, True]
    >>> [is_foreign(content) for content in (encode_entry({}), b'{"package": "airf', b"", None)]
    [False, False, False, False]
    """
    return decode_entry(content) is None and is_json(content or b"")


def read_entry(content: bytes | None, place: str) -> dict[str, Any]:
    """Return an entry's fields, without its format.

    Args:
        content: of the object; ``None`` where it is absent.
        place: where it is, for the error.

    Raises:
        LedgerDamagedError: it is absent, damaged or foreign.
        LedgerFormatError: it has another format than this version reads.
    """
    entry = decode_entry(content)
    if entry is None and is_foreign(content):
        raise LedgerDamagedError(place, _FOREIGN, _FOREIGN_ADVICE)
    if entry is None:
        raise LedgerDamagedError(place, "is missing" if content is None else "is no JSON object")
    found = entry.pop("format", None)
    if found != FORMAT:
        raise LedgerFormatError(place, found, FORMAT)
    return entry


def refuse_foreign(content: bytes | None, place: str) -> None:
    """Refuse to overwrite an entry of another program or format; a torn entry of a killed writer passes.

    Raises:
        LedgerDamagedError: it is foreign.
        LedgerFormatError: it has another format than this version reads.
    """
    if decode_entry(content) is not None or is_foreign(content):
        read_entry(content, place)


def mark_state_path(store: Store) -> None:
    """Mark a state path before its first claim.

    Two first syncs may both mark it, because they write the same bytes. The mark is put instead of created exclusively,
    because a put is whole even on a file system without hard links.

    Raises:
        StateMarkError: another program wrote the object of that name.
        LedgerFormatError: the state path has another format than this version reads.
        StatePathError: the store failed.
    """
    if not _is_marked(store):
        store.put(MARKER, encode_entry({}))


def require_mark(store: Store) -> None:
    """Refuse a state path that no sync has marked.

    Raises:
        StateMarkError: the mark is absent, or another program wrote it; nothing was changed.
        LedgerFormatError: the state path has another format than this version reads.
        StatePathError: the store failed.
    """
    if not _is_marked(store):
        raise StateMarkError(store.locate("").rstrip("/"), f"it has no object {MARKER}, which a first sync writes")


def _is_marked(store: Store) -> bool:
    content = store.get(MARKER)
    if content is None:
        return False
    if decode_entry(content) is None:
        raise StateMarkError(store.locate("").rstrip("/"), f"its object {MARKER} was written by another program")
    read_entry(content, store.locate(MARKER))
    return True
