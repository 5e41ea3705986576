"""Batches hold what Segment takes, in order, and are well filled."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.batches import (
    MAX_BATCH_BYTES,
    MAX_BATCH_MESSAGES,
    MAX_MESSAGE_BYTES,
    Batch,
    TooLong,
    pack,
)
from airflow_provider_amplitude_segment.core.identify import Envelope, Identify

ENVELOPE = Envelope({"integration": {"name": "tests", "version": "1"}}, None)
SENT_AT = "2026-11-23T13:56:49.152Z"


def identifies(sizes: list[int]) -> list[Identify]:
    return [Identify(position, "x" * size, size) for position, size in enumerate(sizes)]


@given(st.lists(st.one_of(st.integers(1, 300), st.integers(20_000, 40_000)), max_size=80))
def test_no_body_is_over_the_limits_and_nothing_is_left_out(sizes: list[int]) -> None:
    packed = list(pack(identifies(sizes), envelope_bytes=ENVELOPE.size, first_messages=7, max_messages=20))

    batches = [batch for batch in packed if isinstance(batch, Batch)]
    too_long = [message.position for message in packed if isinstance(message, TooLong)]
    assert all(len(ENVELOPE.wrap(batch.messages, SENT_AT)) <= MAX_BATCH_BYTES for batch in batches)
    assert all(0 < len(batch) <= (20 if number else 7) for number, batch in enumerate(batches))
    assert too_long == [position for position, size in enumerate(sizes) if size > MAX_MESSAGE_BYTES]
    told = list(itertools.chain.from_iterable(batch.positions for batch in batches))
    assert sorted([*told, *too_long]) == list(range(len(sizes)))
    assert told == sorted(told)


def test_batches_of_usual_messages_are_full() -> None:
    """190 bytes is what a message of ours has; whichever limit comes first is used to 97 %."""
    for size in (150, 190, 260, 400):
        batches = list(pack(identifies([size] * 20_000), envelope_bytes=ENVELOPE.size))[:-1]
        for batch in batches:
            body = len(ENVELOPE.wrap(batch.messages, SENT_AT))  # type: ignore[union-attr]
            assert body >= 0.97 * MAX_BATCH_BYTES or len(batch) == MAX_BATCH_MESSAGES  # type: ignore[arg-type]


def test_the_halves_of_a_batch_are_the_batch() -> None:
    batch = Batch((1, 2, 5), ("a", "b", "c"))

    left, right = batch.halves()

    assert left.positions + right.positions == batch.positions
    assert left.messages + right.messages == batch.messages
