"""Identify messages: one for each planned change, as ready JSON.

One message is ``{"type": "identify", "userId": …, "traits": {"<trait key>": true}, "timestamp": …, "messageId": …}``;
user properties stand in ``traits`` after the key.
What is the same for all of them, context and routing, stands once on the batch, which Segment merges into each message
(https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch").

The message ID names the plan, by a hash of destination, cohort and plan ID, and the change's position in it. Segment
drops a message whose ID it has seen, for at least 24 hours and whatever the source
(https://www.twilio.com/docs/segment/guides/duplicate-data): sent again within one plan it is the same, so the copy is
dropped; in another plan or to another destination it differs, so nothing true is dropped (ADR 0010).
"""

from __future__ import annotations

import hashlib
import json
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows
from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

_BEGIN = b'{"type":"identify","userId":'

_PLAN_DIGITS = 24
"""96 bits do not meet by chance. Segment takes IDs of fewer than 100 characters."""

_ROWS_A_FETCH = 2048
"""As many as DuckDB makes at a time."""


class MessageChunk(NamedTuple):
    """Messages ready to send, of changes that follow one another in their plan.

    Attributes:
        first: position of the first change.
        texts: the messages as JSON in UTF-8, one for each position from there on.
        longest: bytes that none of them exceeds.
    """

    first: int
    texts: tuple[bytes, ...]
    longest: int


def plan_key(app_id: str, cohort_id: str, destination: str, plan_id: str) -> str:
    """Return 24 hexadecimal digits that the message IDs of one plan share, and those of no other."""
    return hashlib.sha256(json.dumps([app_id, cohort_id, destination, plan_id]).encode()).hexdigest()[:_PLAN_DIGITS]


def message_id(key: str, position: int) -> str:
    """Return a change's message ID; the engine makes the same.

    A plan's changes are written once and checked by their SHA-256, so a position stands for its trait, user and value.

    >>> message_id(plan_key("1", "c", "d", "p"), 1_204)
    'c9e528184d72a7576a455a29-1204'
    """
    return f"{key}-{position}"


def identify_messages(
    engine: duckdb.DuckDBPyConnection, changes: Path, positions: Ranges, *, key: str, timestamp: str
) -> Iterator[MessageChunk]:
    """Yield the messages of a plan's changes at ``positions``, in order; a few thousand are held at a time.

    Args:
        engine: a DuckDB connection that nothing else uses while this is read.
        changes: Parquet ``trait, user_id, value``, and a column for each user property.
        positions: which of its rows to tell.
        key: of ``plan_key``.
        timestamp: ISO-8601 with its zone, the same for all messages of a delivery.

    Raises:
        EngineError: the messages did not come all, or the first or last of a fetch is not the one due (ADR 0010).
    """
    if not positions.pairs:
        return
    message, parts, longest = _message(engine, changes, key, timestamp)
    longest += len(_ending(key, positions.pairs[-1][1]))
    for first, last in positions.pairs:
        cursor = engine.execute(
            # One table without a join: DuckDB then keeps the order of the rows
            # (https://duckdb.org/docs/current/sql/dialect/order_preservation).
            f"""SELECT encode({message}) FROM {parquet_rows(changes, numbered=True)}
                WHERE file_row_number BETWEEN $first AND $last""",
            {"first": first, "last": last, **parts},
        )
        at = first
        while rows := cursor.fetchmany(_ROWS_A_FETCH):
            texts = tuple(chain.from_iterable(rows))
            for position, text in ((at, texts[0]), (at + len(texts) - 1, texts[-1])):
                if not text.endswith(_ending(key, position)):
                    raise EngineError("RowOrder")
            yield MessageChunk(at, texts, longest)
            at += len(texts)
        if at != last + 1:
            raise EngineError("RowCount")


def _message(
    engine: duckdb.DuckDBPyConnection, changes: Path, key: str, timestamp: str
) -> tuple[str, dict[str, str | bool], int]:
    """Return the expression of a message, its parameters, and the bytes of the longest one but for its ending.

    What depends on no user is made beforehand.
    """
    names = user_properties.names_in(engine, changes)
    others = user_properties.members_of_object(names) if names else "''"
    told = engine.execute(
        f"""SELECT trait, value, max(strlen(to_json(user_id)) + strlen({others}))
            FROM {parquet_rows(changes)} GROUP BY ALL"""
    ).fetchall()
    parts: dict[str, str | bool] = {"tail": f'}},"timestamp":"{timestamp}","messageId":"{key}-'}
    cases, longest = "", 0
    for number, (trait, value, longest_user) in enumerate(told):
        traits = json.dumps({trait: value}, ensure_ascii=False, separators=(",", ":"))[:-1]
        parts |= {f"trait{number}": trait, f"value{number}": value, f"traits{number}": f',"traits":{traits}'}
        cases += f" WHEN trait = $trait{number} AND value = $value{number} THEN $traits{number}"
        longest = max(longest, len(f"{traits}{parts['tail']}".encode()) + longest_user)
    # concat() takes half the time of ||, and leaves NULL out.
    more = f", {others}" if names else ""
    message = (
        f"concat({literal(_BEGIN.decode())}, to_json(user_id), CASE{cases} END{more}, $tail, file_row_number, '\"}}')"
    )
    return message, parts, len(_BEGIN) + len(',"traits":') + longest


def _ending(key: str, position: int) -> bytes:
    return f'"{message_id(key, position)}"}}'.encode()


def split_messages(text: bytes) -> list[bytes]:
    """Return the messages that were joined with commas.

    How a message begins stands nowhere else: after a comma and ``{"``, neither a user ID nor a trait key goes on.

    >>> split_messages(b'{"type":"identify","userId":"a},{"},{"type":"identify","userId":"b"}')
    [b'{"type":"identify","userId":"a},{"}', b'{"type":"identify","userId":"b"}']
    """
    first, *others = text.split(b"," + _BEGIN)
    return [first, *(_BEGIN + other for other in others)]


class Envelope:
    """What stands around the messages of a batch; made anew for each attempt, as ``sentAt`` is that attempt's.

    Segment corrects a clock by ``sentAt`` (https://www.twilio.com/docs/segment/connections/spec/common, "Timestamps"),
    so that a stale one would move every message's time.
    """

    def __init__(self, context: Mapping[str, Any], integrations: Mapping[str, Any] | None) -> None:
        tail: dict[str, Any] = {"context": context}
        if integrations:
            tail["integrations"] = integrations
        self._tail = json.dumps(tail, separators=(",", ":"))[1:-1]

    @property
    def size(self) -> int:
        """Bytes that it adds to the messages and the commas between them."""
        return len(self.wrap(b"", "2026-11-23T13:56:49.152Z"))

    def wrap(self, messages: bytes, sent_at: str) -> bytes:
        """Return the request's body around messages with commas between them.

        >>> Envelope({}, None).wrap(b'{"a":1},{"b":2}', "2026-11-23T13:56:49.152Z")
        b'{"batch":[{"a":1},{"b":2}],"context":{},"sentAt":"2026-11-23T13:56:49.152Z"}'
        """
        return b"".join((b'{"batch":[', messages, f'],{self._tail},"sentAt":"{sent_at}"}}'.encode()))
