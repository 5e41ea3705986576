"""Batches within Segment's limits, and their halves.

500 KB a request, 32 KB a message, 2,500 messages a batch
(https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api, "Batch" and "Errors").
What a KB is, is not said, so bytes are counted as thousands, uncompressed, and with a margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_amplitude_segment.core.identify import Identify

MAX_BATCH_BYTES = 475_000
MAX_BATCH_MESSAGES = 2_500
MAX_MESSAGE_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that go in one request.

    Attributes:
        positions: of the changes, in the messages' order.
        messages: JSON texts.
    """

    positions: tuple[int, ...]
    messages: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of messages."""
        return len(self.messages)

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half of a batch of at least two messages."""
        middle = len(self.messages) // 2
        return (
            Batch(self.positions[:middle], self.messages[:middle]),
            Batch(self.positions[middle:], self.messages[middle:]),
        )


@dataclass(frozen=True, slots=True)
class TooLong:
    """A message over Segment's limit, which never leaves the machine."""

    position: int
    size: int


def pack(
    messages: Iterable[Identify],
    *,
    envelope_bytes: int,
    first_messages: int = MAX_BATCH_MESSAGES,
    max_messages: int = MAX_BATCH_MESSAGES,
    max_bytes: int = MAX_BATCH_BYTES,
) -> Iterator[Batch | TooLong]:
    """Pack messages into full batches, in order; one batch is held at a time.

    Args:
        messages: in any number.
        envelope_bytes: what is around the messages of each batch.
        first_messages: messages of the first batch at most.
        max_messages: messages of each batch at most.
        max_bytes: bytes of a request's body at most, envelope and commas included.
    """
    room = max_bytes - envelope_bytes
    limit = min(first_messages, max_messages)
    positions: list[int] = []
    texts: list[str] = []
    size = 0
    for position, text, text_bytes in messages:
        if text_bytes > MAX_MESSAGE_BYTES:
            yield TooLong(position, text_bytes)
            continue
        # A comma goes with each message.
        if len(texts) == limit or size + text_bytes + 1 > room:
            yield Batch(tuple(positions), tuple(texts))
            positions, texts, size, limit = [], [], 0, max_messages
        positions.append(position)
        texts.append(text)
        size += text_bytes + 1
    if texts:
        yield Batch(tuple(positions), tuple(texts))
