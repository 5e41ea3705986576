"""Bodies are read as JSON is, and fast."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, SandboxSegment
from airflow_provider_amplitude_segment.sandbox.batch_body import read_batch

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(st.sampled_from(["sentAt", "context", "x"]), json_values),
    batch=st.lists(json_values, max_size=4),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
def test_bodies_are_read_as_json_reads_them(
    fields: dict[str, Any], batch: list[Any], indent: int | None, ascii_only: bool
) -> None:
    """The reader that measures messages finds the same content as the standard library's."""
    body = json.dumps({**fields, "batch": batch}, indent=indent, ensure_ascii=ascii_only).encode()

    read = read_batch(body)

    assert read.messages == batch
    assert read.envelope == fields


@given(text=st.text(alphabet='{}[]":, \nbatch1', max_size=30))
def test_what_json_refuses_is_refused(text: str) -> None:
    """A text that is no JSON is not taken for a batch."""
    try:
        read = read_batch(text.encode())
    except ValueError:
        return
    assert json.loads(text)["batch"] == read.messages


def test_two_hundred_thousand_identifies_take_seconds() -> None:
    """Reading and believing 200,000 identifies takes well under ten seconds of processor time."""
    bodies = []
    for first in range(0, 200_000, 2000):
        numbers = range(first, first + 2000)
        batch = [
            {
                "type": "identify",
                "userId": f"user{number:09d}",
                "traits": {"t": True},
                "timestamp": "2026-11-23T12:00:00Z",
                "messageId": f"{number:064d}",
            }
            for number in numbers
        ]
        bodies.append(json.dumps({"batch": batch}).encode())
    segment = SandboxSegment(clock=time.time)
    started = time.process_time()
    for body in bodies:
        segment.receive(WRITE_KEY_DEFAULT, read_batch(body))
    took = time.process_time() - started

    assert len(segment.believes(WRITE_KEY_DEFAULT, "t")) == 200_000
    assert took < 10
