"""Pack messages into batches within Segment's limits, and halve a batch.

The limits are 500 KB a request, 32 KB a message and 2,500 messages a batch
(https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch" and "Errors").
Segment does not define KB, so this module takes 1,000 bytes, uncompressed, and keeps a margin.

Python does no work per message, because at several hundred thousand messages a second one line of it would slow down
the whole delivery: DuckDB has put them in one text, and says where each begins.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.identify import MessageChunk, split_messages
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BATCH_BYTES = 475_000
MAX_BATCH_MESSAGES = 2_500
MAX_MESSAGE_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that go in one request.

    Attributes:
        positions: of the changes that are sent.
        text: the messages in UTF-8 in the order of their positions, separated by commas.
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
    """A message over Segment's size limit, which is not sent."""

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
    """Yield full batches of the messages, in order; one batch and one chunk are in memory at a time.

    Args:
        messages: chunks in the order of their positions.
        envelope_bytes: bytes of a request's body around the messages.
        first_messages: most messages of the first batch.
        max_messages: most messages of each batch.
        max_bytes: most bytes of a request's body, envelope and commas included.
    """
    room = max_bytes - envelope_bytes
    limit = min(first_messages, max_messages)
    pairs: list[tuple[int, int]] = []
    texts: list[bytes] = []
    count = size = 0
    for chunk in _split_oversized(messages, min(MAX_MESSAGE_BYTES, room - 1)):
        if isinstance(chunk, OversizedMessage):
            yield chunk
            continue
        start = 0
        while start < len(chunk):
            stop = min(_last_that_fits(chunk, start, room - size), start + limit - count)
            if stop > start:
                part = chunk.part(start, stop)
                pairs.append((part.first, part.first + len(part) - 1))
                texts.append(part.joined())
                count += len(part)
                size += len(texts[-1])
                start = stop
            if start < len(chunk):
                yield _batch(pairs, texts)
                pairs, texts, count, size, limit = [], [], 0, 0, max_messages
    if texts:
        yield _batch(pairs, texts)


def _batch(pairs: list[tuple[int, int]], texts: list[bytes]) -> Batch:
    return Batch(Ranges.of(pairs), b"".join(texts)[:-1])


def _last_that_fits(chunk: MessageChunk, start: int, room: int) -> int:
    """Return the end of the messages from ``start`` on that fit into ``room``, with a comma each."""
    return bisect_right(chunk.offsets, chunk.offsets[start] + room, lo=start) - 1


def _split_oversized(messages: Iterable[MessageChunk], max_bytes: int) -> Iterator[MessageChunk | OversizedMessage]:
    """Yield the messages in their order, with each oversized one by itself."""
    for chunk in messages:
        if chunk.longest <= max_bytes:
            yield chunk
            continue
        start = 0
        for number, (begin, end) in enumerate(pairwise(chunk.offsets)):
            size = end - begin - len(",")
            if size > max_bytes:
                if start < number:
                    yield chunk.part(start, number)
                yield OversizedMessage(chunk.first + number, size)
                start = number + 1
        if start < len(chunk):
            yield chunk.part(start, len(chunk))
