"""Batches hold what Segment takes, in order, and are well filled."""

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.delivery.batches import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_MESSAGE_BYTES,
    Batch,
    OversizedMessage,
    pack,
)
from airflow_provider_amplitude_segment.core.delivery.identify import Envelope, MessageChunk, split_messages
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

HAZARDS = ["},{", '},{"type":"identify","userId":', ',{"type":"identify","userId":"x"}', "{", '"', "\\", "},{\\"]
ENVELOPE = Envelope({"integration": {"name": "tests", "version": "1"}}, None)
SENT_AT = "2026-11-23T13:56:49.152Z"


def identifies(sizes: list[int], in_one: int = 2048) -> list[MessageChunk]:
    text = b"".join(b"x" * size + b"," for size in sizes)
    ends = list(itertools.accumulate((size + 1 for size in sizes), initial=0))
    chunk = MessageChunk(0, text, ends, max(sizes, default=0))
    return [chunk.part(first, min(first + in_one, len(chunk))) for first in range(0, len(chunk), in_one)]


def positions(batch: Batch) -> list[int]:
    return [position for first, last in batch.positions.pairs for position in range(first, last + 1)]


@given(st.lists(st.one_of(st.integers(1, 300), st.integers(20_000, 40_000)), max_size=80), st.integers(1, 90))
def test_no_body_is_over_the_limits_and_nothing_is_left_out(sizes: list[int], in_one: int) -> None:
    packed = list(pack(identifies(sizes, in_one), envelope_bytes=ENVELOPE.size, first_messages=7, max_messages=20))

    batches = [batch for batch in packed if isinstance(batch, Batch)]
    too_long = [message.position for message in packed if isinstance(message, OversizedMessage)]
    assert all(len(ENVELOPE.wrap(batch.text, SENT_AT)) <= MAX_BATCH_BYTES for batch in batches)
    assert all(0 < len(batch) <= (20 if number else 7) for number, batch in enumerate(batches))
    assert too_long == [position for position, size in enumerate(sizes) if size > MAX_MESSAGE_BYTES]
    packed = list(itertools.chain.from_iterable(positions(batch) for batch in batches))
    assert sorted([*packed, *too_long]) == list(range(len(sizes)))
    assert packed == sorted(packed)
    assert [len(text) for batch in batches for text in batch.text.split(b",")] == [
        sizes[position] for position in packed
    ]


def test_a_message_that_no_request_has_room_for_beside_a_large_context_is_too_long() -> None:
    packed = list(pack(identifies([100, 300, 100]), envelope_bytes=MAX_BATCH_BYTES - 250))

    assert packed == [OversizedMessage(1, 300), Batch(Ranges.of([(0, 0), (2, 2)]), b"x" * 100 + b"," + b"x" * 100)]


def test_batches_of_usual_messages_are_full() -> None:
    """190 bytes is what a message of ours has; whichever limit comes first is used to 97 %."""
    for size in (150, 190, 260, 400):
        batches = list(pack(identifies([size] * 20_000), envelope_bytes=ENVELOPE.size))[:-1]
        for batch in batches:
            body = len(ENVELOPE.wrap(batch.text, SENT_AT))  # type: ignore[union-attr]
            assert body >= 0.97 * MAX_BATCH_BYTES or len(batch) == MAX_BATCH_MESSAGES  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=8) | st.sampled_from(HAZARDS), min_size=2, max_size=9), st.sampled_from(HAZARDS))
def test_the_halves_of_a_batch_are_the_batch_whatever_users_and_traits_are_called(users: list[str], trait: str) -> None:
    texts = [
        json.dumps({"type": "identify", "userId": user, "traits": {trait: True}}, separators=(",", ":")).encode()
        for user in users
    ]
    batch = Batch(Ranges.of([(1, 1), (5, 3 + len(users))]), b",".join(texts))

    left, right = batch.halves()

    assert [*positions(left), *positions(right)] == positions(batch)
    assert split_messages(left.text) + split_messages(right.text) == texts
    assert (len(left), len(right)) == (len(users) // 2, len(users) - len(users) // 2)
