"""Make the track messages: one for each entry and exit of a plan, as JSON, for journeys downstream.

A message is ``{"type": "track", "userId": …, "event": "Cohort Entered", "properties": {…}, "timestamp": …,
"messageId": …}`` (https://www.twilio.com/docs/segment/connections/spec/track). Its properties are ``cohort_id``,
``cohort_name`` and ``trait``.

Segment does not replace an event by a later one, so a copy counts twice. The message ID is a hash of the same facts as
an identify's and of the word "event", and the event's number in its plan. It is equal within a plan, so that Segment
drops the copy, and differs from that of any identify (ADR 0035).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.identify import (
    BLOCK_ROWS,
    ENDING_BYTES,
    Wording,
    messages_of,
    plan_key,
)
from airflow_provider_amplitude_segment.core.engine.engine_file import literal, parquet_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.delivery.identify import MessageChunk
    from airflow_provider_amplitude_segment.core.ledger.entry import Plan
    from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
    from airflow_provider_amplitude_segment.core.ledger.stream import Stream

_BEGIN = '{"type":"track","userId":'


def event_key(stream: Stream, plan_id: str) -> str:
    """Return the 24 hexadecimal digits that the message IDs of a plan's events begin with.

    >>> from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
    >>> stream = Stream("1", "c", Destination("segment_default", "d"))
    >>> event_key(stream, "p") == plan_key("1", "c", "d", "p")
    False
    """
    return plan_key(stream.app_id, stream.cohort_id, stream.destination.name, f"{plan_id} event")


def event_text(name: str, cohort_id: str, cohort_name: str, trait: str) -> str:
    """Return the part of an event between its user ID and its timestamp, which all users have in common.

    >>> event_text("Cohort Entered", "c", "Power", "Power (c)")
    ',"event":"Cohort Entered","properties":{"cohort_id":"c","cohort_name":"Power","trait":"Power (c)"}'
    """
    properties = {"cohort_id": cohort_id, "cohort_name": cohort_name, "trait": trait}
    event = {"event": name, "properties": properties}
    return "," + json.dumps(event, ensure_ascii=False, separators=(",", ":"))[1:-1]


@dataclass(frozen=True, slots=True)
class PlanOf:
    """A plan, and the cohort and the destination that it is of."""

    plan: Plan
    stream: Stream


def track_messages(
    engine: duckdb.DuckDBPyConnection, events: Path, numbers: Ranges, of: PlanOf, timestamp: str
) -> Iterator[MessageChunk]:
    """Yield the events of a plan by their numbers, in order; raises as ``identify_messages``.

    Args:
        engine: a DuckDB connection that nothing else uses meanwhile.
        events: Parquet ``user_id, value`` of all events of the plan; a row's number is the event's.
        numbers: of the events to send.
        of: the plan with ``events``, and its stream.
        timestamp: ISO 8601 with a time zone, the same for all messages of a delivery.
    """
    plan, stream = of.plan, of.stream
    if plan.events is None or not numbers.pairs:
        return
    key = event_key(stream, plan.plan_id)
    tail = f',"timestamp":"{timestamp}","messageId":"{key}-'
    names = (plan.events.entered, plan.events.exited)
    texts = [event_text(name, stream.cohort_id, plan.events.cohort_name, plan.trait) for name in names]
    fixed = len(_BEGIN) + len(tail.encode()) + max(len(text.encode()) for text in texts)
    counted = engine.execute(
        f"""SELECT file_row_number // {BLOCK_ROWS}, count(*)::BIGINT, max(strlen(to_json(user_id))),
                   sum(strlen(to_json(user_id)))::BIGINT
            FROM {parquet_rows(events, numbered=True)} GROUP BY ALL"""
    ).fetchall()
    wording = Wording(
        f"concat({literal(_BEGIN)}, to_json(user_id), CASE WHEN value THEN $entered ELSE $exited END, $tail, "
        "file_row_number, '\"},')",
        {"entered": texts[0], "exited": texts[1], "tail": tail},
        fixed + max(longest for _, _, longest, _ in counted),
        {block: count * (fixed + ENDING_BYTES) + size for block, count, _, size in counted},
    )
    yield from messages_of(engine, events, numbers, wording, key)
