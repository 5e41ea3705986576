"""Identify messages: one for each planned change, as ready JSON.

One message is ``{"type": "identify", "userId": …, "traits": {"<trait key>": true}, "timestamp": …, "messageId": …}``.
What is the same for all of them, context and routing, stands once on the batch, which Segment merges into each message
(https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch").

The message ID is a hash of destination, cohort, trait key, plan, user and value. Segment drops a message whose ID it
has seen, for at least 24 hours and whatever the source
(https://www.twilio.com/docs/segment/guides/duplicate-data): sent again within one plan it is the same, so the copy is
dropped; in another plan or to another destination it differs, so nothing true is dropped.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_amplitude_segment.core.engine import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ranges import Ranges

MESSAGE_ID_DIGITS = 40
"""Segment takes fewer than 100 characters; 160 bits do not meet by chance."""

_ROWS_A_FETCH = 2048


class Identify(NamedTuple):
    """A message ready to send.

    Attributes:
        position: of the change in its plan.
        text: the message as JSON.
        size: bytes of ``text`` in UTF-8.
    """

    position: int
    text: str
    size: int


def plan_key(app_id: str, cohort_id: str, destination: str, plan_id: str) -> str:
    """Return 64 hexadecimal digits for what all message IDs of one plan share."""
    return hashlib.sha256(json.dumps([app_id, cohort_id, destination, plan_id]).encode()).hexdigest()


def message_id(key: str, trait: str, user_id: str, *, value: bool) -> str:
    """Return a change's message ID; the engine computes the same.

    The trait key's length keeps trait and user apart.

    >>> message_id(plan_key("1", "c", "d", "p"), "Power Users (c)", "007", value=True)
    '51e189e486cd462d13550c3e08d80e747e9f5db4'
    """
    told = f"{key}{'true' if value else 'false'}{len(trait)}:{trait}{user_id}"
    return hashlib.sha256(told.encode()).hexdigest()[:MESSAGE_ID_DIGITS]


def identify_messages(
    engine: duckdb.DuckDBPyConnection, changes: Path, positions: Ranges, *, key: str, timestamp: str
) -> Iterator[Identify]:
    """Yield the messages of a plan's changes at ``positions``, in order; a few thousand are held at a time.

    Args:
        engine: a DuckDB connection that nothing else uses while this is read.
        changes: Parquet ``trait, user_id, value``.
        positions: which of its rows to tell.
        key: of ``plan_key``.
        timestamp: ISO-8601 with its zone, the same for all messages of a plan.
    """
    for first, last in positions.pairs:
        cursor = engine.execute(
            f"""SELECT position, text, octet_length(encode(text)) FROM (
                SELECT file_row_number AS position,
                       '{{"type":"identify","userId":' || to_json(user_id) ||
                       ',"traits":{{' || to_json(trait) || ':' || value || '}},"timestamp":"' || $timestamp ||
                       '","messageId":"' ||
                       sha256($key || value || length(trait) || ':' || trait || user_id)[1:{MESSAGE_ID_DIGITS}] ||
                       '"}}' AS text
                FROM read_parquet({literal(changes)}, file_row_number = true)
                WHERE file_row_number BETWEEN $first AND $last
            )""",
            {"timestamp": timestamp, "key": key, "first": first, "last": last},
        )
        while rows := cursor.fetchmany(_ROWS_A_FETCH):
            yield from map(Identify._make, rows)


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
        return len(self.wrap([], "2026-11-23T13:56:49.152Z"))

    def wrap(self, messages: Sequence[str], sent_at: str) -> bytes:
        """Return the request's body.

        >>> Envelope({}, None).wrap(['{"a":1}', '{"b":2}'], "2026-11-23T13:56:49.152Z")
        b'{"batch":[{"a":1},{"b":2}],"context":{},"sentAt":"2026-11-23T13:56:49.152Z"}'
        """
        return f'{{"batch":[{",".join(messages)}],{self._tail},"sentAt":"{sent_at}"}}'.encode()
