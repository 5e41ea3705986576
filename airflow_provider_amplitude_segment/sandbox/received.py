"""What a test can read of the batches and messages that reached the stand-in Segment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch that reached Segment and got a 200 or 400; batches that a fault kept away are not recorded."""

    write_key: str = field(repr=False)
    size: int
    """Bytes, uncompressed; of a rejected batch the bytes read so far, of an unreadable batch 0."""
    messages: int
    """As sent; 0 if the body is unreadable."""
    retry_count: int | None
    """``X-Retry-Count``; ``None`` if the header is missing or not a number."""
    received: float
    """``time.monotonic()`` seconds."""
    status: int


@dataclass(slots=True)
class ReceivedMessage:
    """A message kept with ``keep_messages``, with the batch's ``context`` and ``integrations`` merged in."""

    write_key: str = field(repr=False)
    message: dict[str, Any] = field(repr=False)
    times_received: int = 1
