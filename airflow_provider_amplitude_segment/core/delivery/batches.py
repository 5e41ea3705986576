"""Batches within Segment's limits, and their halves.

500 KB a request, 32 KB a message, 2,500 messages a batch
(https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch" and "Errors").
What a KB is, is not said, so bytes are counted as thousands, uncompressed, and with a margin.

Nothing here is done for each message but adding up its length: at some hundred thousand messages a second, one line of
Python for each of them is what the whole delivery waits for.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.identify import MessageChunk, split_messages
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BATCH_BYTES = 475_000
MAX_BATCH_MESSAGES = 2_500
MAX_MESSAGE_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that go in one request.

    Attributes:
        positions: of the changes that are told.
        text: the messages in UTF-8 in the positions' order, with commas between them. Joined by whoever packs, while
            they are in the processor's cache; that costs less than handing thousands of objects to another thread.
    """

    positions: Ranges
    text: bytes

    def __len__(self) -> int:
        """Return the number of messages."""
        return self.positions.count

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half of a batch of at least two messages."""
        middle = len(self) // 2
        left, right = self.positions.split(middle)
        messages = split_messages(self.text)
        return Batch(left, b",".join(messages[:middle])), Batch(right, b",".join(messages[middle:]))


@dataclass(frozen=True, slots=True)
class OversizedMessage:
    """A message that fits into no request of Segment's, which never leaves the machine."""

    position: int
    size: int


def pack(
    messages: Iterable[MessageChunk],
    *,
    envelope_bytes: int,
    first_messages: int = MAX_BATCH_MESSAGES,
    max_messages: int = MAX_BATCH_MESSAGES,
    max_bytes: int = MAX_BATCH_BYTES,
) -> Iterator[Batch | OversizedMessage]:
    """Pack messages into full batches, in order; one batch and one of ``messages`` are held at a time.

    Args:
        messages: in any number.
        envelope_bytes: what is around the messages of each batch.
        first_messages: messages of the first batch at most.
        max_messages: messages of each batch at most.
        max_bytes: bytes of a request's body at most, envelope and commas included.
    """
    room = max_bytes - envelope_bytes
    limit = min(first_messages, max_messages)
    pairs: list[tuple[int, int]] = []
    texts: list[bytes] = []
    size = 0
    for told in _without_too_long(messages, min(MAX_MESSAGE_BYTES, room - 1)):
        if isinstance(told, OversizedMessage):
            yield told
            continue
        # Bytes of the first messages, by how many.
        ends = list(accumulate(map(len, told.texts), initial=0))
        start = 0
        while start < len(told.texts):
            stop = min(_last_that_fits(ends, start, room - size), start + limit - len(texts))
            if stop > start:
                pairs.append((told.first + start, told.first + stop - 1))
                texts.extend(told.texts[start:stop])
                size += ends[stop] - ends[start] + stop - start
                start = stop
            if start < len(told.texts):
                yield Batch(Ranges.of(pairs), b",".join(texts))
                pairs, texts, size, limit = [], [], 0, max_messages
    if texts:
        yield Batch(Ranges.of(pairs), b",".join(texts))


def _last_that_fits(ends: Sequence[int], start: int, room: int) -> int:
    """Return behind which message ``room`` is used up, each taking a comma with it; ``start`` where not one fits."""
    return bisect_right(range(len(ends)), room + ends[start] + start, lo=start, key=lambda end: ends[end] + end) - 1


def _without_too_long(messages: Iterable[MessageChunk], max_bytes: int) -> Iterator[MessageChunk | OversizedMessage]:
    """Yield the same messages in the same order, those over the limit by themselves."""
    for told in messages:
        if told.longest <= max_bytes:
            yield told
            continue
        start = 0
        for number, text in enumerate(told.texts):
            if len(text) > max_bytes:
                if start < number:
                    yield MessageChunk(told.first + start, told.texts[start:number], max_bytes)
                yield OversizedMessage(told.first + number, len(text))
                start = number + 1
        if start < len(told.texts):
            yield MessageChunk(told.first + start, told.texts[start:], max_bytes)
