"""Make the identify messages: one for each planned change, as JSON.

A message is ``{"type": "identify", "userId": …, "traits": {"<trait key>": true}, "timestamp": …, "messageId": …}``;
user properties follow the key in ``traits``.
The context and the routing are the same for all messages, so the batch has them once, and Segment merges them into each
message (https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch").

The message ID is a hash of destination, cohort and plan ID, and the change's position in the plan. For at least 24
hours, Segment drops a message whose ID it has seen from any source
(https://www.twilio.com/docs/segment/guides/duplicate-data). A retry within a plan has the same ID, so Segment drops the
copy. Another plan or destination has another ID, so Segment keeps the message (ADR 0010).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core import user_properties
from airflow_provider_amplitude_segment.core.engine.engine_file import GROUP_ROWS, literal, parquet_rows
from airflow_provider_amplitude_segment.core.engine.text_rows import text_rows
from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

_BEGIN = b'{"type":"identify","userId":'

_USER_ID = b'"userId":'

_PLAN_DIGITS = 24
"""96 bits, so that two plans do not collide. Segment accepts IDs of fewer than 100 characters."""

_QUERY_BYTES = 16_000_000
"""The most bytes that one query returns, so that long messages need no more memory than short ones."""

BLOCK_ROWS = 2_048
"""The rows whose bytes are counted together: DuckDB's vectors. One block may be larger than ``_QUERY_BYTES``."""

ENDING_BYTES = 14
"""Of the position of a message and what follows it."""

_ROWS_A_CHECK = 2048


@dataclass(frozen=True, slots=True)
class MessageChunk:
    """Messages of consecutive changes of a plan.

    Attributes:
        first: position of the first change.
        text: the messages as JSON in UTF-8, with a comma after each.
        offsets: where in ``text`` each message begins, and where the last one's comma ends.
        longest: an upper bound of a message's bytes, without the comma.
    """

    first: int
    text: bytes
    offsets: Sequence[int]
    longest: int

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.offsets) - 1

    def part(self, start: int, stop: int) -> MessageChunk:
        """Return the messages from number ``start`` up to number ``stop``; nothing is copied.

        >>> MessageChunk(7, b"{},[],", (0, 3, 6), 2).part(1, 2)
        MessageChunk(first=8, text=b'{},[],', offsets=(3, 6), longest=2)
        """
        return MessageChunk(self.first + start, self.text, self.offsets[start : stop + 1], self.longest)

    def joined(self) -> bytes:
        """Return the messages with a comma after each.

        >>> MessageChunk(7, b"{},[],", (0, 3, 6), 2).part(1, 2).joined()
        b'[],'
        """
        return self.text[self.offsets[0] : self.offsets[-1]]


def plan_key(app_id: str, cohort_id: str, destination: str, plan_id: str) -> str:
    """Return the 24 hexadecimal digits that all message IDs of one plan begin with."""
    return hashlib.sha256(json.dumps([app_id, cohort_id, destination, plan_id]).encode()).hexdigest()[:_PLAN_DIGITS]


def message_id(key: str, position: int) -> str:
    """Return a change's message ID, equal to the one that the SQL of ``identify_messages`` makes.

    A position identifies trait, user and value, because a plan's changes are written once and checked by SHA-256.

    >>> message_id(plan_key("1", "c", "d", "p"), 1_204)
    'c9e528184d72a7576a455a29-1204'
    """
    return f"{key}-{position}"


def identify_messages(
    engine: duckdb.DuckDBPyConnection, changes: Path, positions: Ranges, *, key: str, timestamp: str
) -> Iterator[MessageChunk]:
    """Yield the messages of a plan's changes at ``positions``, in order.

    At most 40,960 are in memory at a time, and 16 MB of them, or 2,048 where those are more.

    Args:
        engine: a DuckDB connection that nothing else uses meanwhile.
        changes: Parquet ``trait, user_id, value``, and a column for each user property.
        positions: the rows of it to send.
        key: of ``plan_key``.
        timestamp: ISO 8601 with a time zone, the same for all messages of a delivery.

    Raises:
        EngineError: DuckDB returned too few rows, or rows in another order (ADR 0010).
    """
    if not positions.pairs:
        return
    wording = _word(engine, changes, key, timestamp)
    yield from messages_of(engine, changes, positions, wording, key)


def messages_of(
    engine: duckdb.DuckDBPyConnection, changes: Path, positions: Ranges, wording: Wording, key: str
) -> Iterator[MessageChunk]:
    """Yield the messages of the rows of a Parquet file at ``positions``, in order; raises as ``identify_messages``."""
    longest = wording.longest + len(_ending(key, positions.pairs[-1][1]))
    # DuckDB keeps the order of rows if there is one table and no join
    # (https://duckdb.org/docs/current/sql/dialect/order_preservation).
    query = f"""SELECT {wording.message} FROM {parquet_rows(changes, numbered=True)}
                WHERE file_row_number BETWEEN $first AND $last"""
    for first, last in _queries(positions.pairs, wording.block_bytes):
        at = first
        for rows in text_rows(engine, query, {"first": first, "last": last, **wording.parts}):
            chunk = MessageChunk(at, rows.text, rows.offsets, longest)
            _check_order(chunk, key)
            yield chunk
            at += len(chunk)
        if at != last + 1:
            raise EngineError("RowCount")


def _queries(pairs: Iterable[tuple[int, int]], block_bytes: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last position of each query.

    A query ends where a group of the Parquet file ends, because DuckDB reads a group whole, and where the bytes of its
    blocks would be too many.

    >>> list(_queries([(5, 50_000), (60_000, 60_001)], dict.fromkeys(range(30), 300_000)))
    [(5, 40959), (40960, 50000), (60000, 60001)]
    >>> list(_queries([(5, 10_000)], {0: 1_000, 1: 1_000, 2: 50_000_000, 3: 1_000, 4: 1_000}))
    [(5, 4095), (4096, 6143), (6144, 10000)]
    """
    for first, last in pairs:
        start, size = first, 0
        for block in range(first // BLOCK_ROWS, last // BLOCK_ROWS + 1):
            begin = block * BLOCK_ROWS
            if begin > start and (begin % GROUP_ROWS == 0 or size + block_bytes.get(block, 0) > _QUERY_BYTES):
                yield start, begin - 1
                start, size = begin, 0
            size += block_bytes.get(block, 0)
        yield start, last


def _check_order(chunk: MessageChunk, key: str) -> None:
    """Raise unless messages, some of them and the last, have the positions that they must have."""
    for number in {*range(0, len(chunk), _ROWS_A_CHECK), *range(len(chunk))[-1:]}:
        if not chunk.part(number, number + 1).joined().endswith(_ending(key, chunk.first + number)):
            raise EngineError("RowOrder")


@dataclass(frozen=True, slots=True)
class Wording:
    """How DuckDB writes the messages of a plan.

    Attributes:
        message: the SQL expression of a message and a comma.
        parts: its parameters, which are the same for all users.
        longest: the most bytes of a message before its ending.
        block_bytes: about the bytes of the messages of each block of rows, by the block's number.
    """

    message: str
    parts: dict[str, str | bool]
    longest: int
    block_bytes: dict[int, int]


def _word(engine: duckdb.DuckDBPyConnection, changes: Path, key: str, timestamp: str) -> Wording:
    names = user_properties.names_in(engine, changes)
    others = user_properties.members_of_object(names) if names else "''"
    tail = f'}},"timestamp":"{timestamp}","messageId":"{key}-'
    counted = engine.execute(
        f"""SELECT trait, value, file_row_number // {BLOCK_ROWS}, count(*)::BIGINT, max(bytes), sum(bytes)::BIGINT
            FROM (SELECT trait, value, file_row_number, strlen(to_json(user_id)) + strlen({others}) AS bytes
                  FROM {parquet_rows(changes, numbered=True)}) GROUP BY ALL"""
    ).fetchall()
    parts: dict[str, str | bool] = {"tail": tail}
    kinds: dict[tuple[str, bool], int] = {}
    cases, longest, block_bytes = "", 0, Counter[int]()
    for trait, value, block, count, longest_user, users_bytes in counted:
        if (trait, value) not in kinds:
            number = len(kinds)
            traits = f',"traits":{json.dumps({trait: value}, ensure_ascii=False, separators=(",", ":"))[:-1]}'
            kinds[trait, value] = len(_BEGIN) + len(f"{traits}{tail}".encode())
            parts |= {f"trait{number}": trait, f"value{number}": value, f"traits{number}": traits}
            cases += f" WHEN trait = $trait{number} AND value = $value{number} THEN $traits{number}"
        longest = max(longest, kinds[trait, value] + longest_user)
        block_bytes[block] += count * (kinds[trait, value] + ENDING_BYTES) + users_bytes
    # concat() takes half the time of ||, and skips NULL.
    more = f", {others}" if names else ""
    message = (
        f"concat({literal(_BEGIN.decode())}, to_json(user_id), CASE{cases} END{more}, $tail, file_row_number, '\"}},')"
    )
    return Wording(message, parts, longest, block_bytes)


def _ending(key: str, position: int) -> bytes:
    return f'"{message_id(key, position)}"}},'.encode()


def split_messages(text: bytes) -> list[bytes]:
    """Return the messages of a text that joins them with commas.

    All are of one type. The beginning of a message occurs nowhere else, because JSON escapes the quotes in user IDs and
    trait keys.

    >>> split_messages(b'{"type":"identify","userId":"a},{"},{"type":"identify","userId":"b"}')
    [b'{"type":"identify","userId":"a},{"}', b'{"type":"identify","userId":"b"}']
    """
    begin = text[: text.index(_USER_ID) + len(_USER_ID)]
    first, *others = text.split(b"," + begin)
    return [first, *(begin + other for other in others)]


class Envelope:
    """The request's body around the messages of a batch, with each request's own ``sentAt``.

    Segment corrects clocks by ``sentAt`` (https://www.twilio.com/docs/segment/connections/spec/common, "Timestamps"),
    so a stale value would shift the time of every message.
    """

    def __init__(self, context: Mapping[str, Any], integrations: Mapping[str, Any] | None) -> None:
        tail: dict[str, Any] = {"context": context}
        if integrations:
            tail["integrations"] = integrations
        self._tail = json.dumps(tail, separators=(",", ":"))[1:-1]

    @property
    def size(self) -> int:
        """The bytes of a body without its messages."""
        return len(self.wrap(b"", "2026-11-23T13:56:49.152Z"))

    def wrap(self, messages: bytes, sent_at: str) -> bytes:
        """Return the request's body for messages separated by commas.

        >>> Envelope({}, None).wrap(b'{"a":1},{"b":2}', "2026-11-23T13:56:49.152Z")
        b'{"batch":[{"a":1},{"b":2}],"context":{},"sentAt":"2026-11-23T13:56:49.152Z"}'
        """
        return b"".join((b'{"batch":[', messages, f'],{self._tail},"sentAt":"{sent_at}"}}'.encode()))
