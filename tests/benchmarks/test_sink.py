"""The sink counts what came, however it came."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
import requests

from benchmarks.sink_process import SinkProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b'{"batch":[{"type":"identify","userId":"1"},{"type": "identify","userId":"2"}],"writeKey":"k"}'


@pytest.fixture
def sink() -> Iterator[SinkProcess]:
    with SinkProcess() as running:
        yield running


def test_every_identify_is_counted_with_the_request_that_brought_it(sink: SinkProcess) -> None:
    with requests.Session() as session:
        for body in (BODY, BODY * 10_000, BODY):
            answer = session.post(f"{sink.url}/v1/batch", data=body, auth=("k", ""), timeout=30)
            assert answer.json() == {"success": True}

    arrived = sink.arrivals()
    assert [count for _, _, count in arrived.each] == [2, 20_000, 2]
    assert (arrived.identifies, arrived.requests, arrived.wire_bytes) == (20_004, 3, len(BODY) * 10_002)


def test_a_compressed_body_is_counted_as_what_it_holds(sink: SinkProcess) -> None:
    requests.post(f"{sink.url}/v1/batch", gzip.compress(BODY), headers={"Content-Encoding": "gzip"}, timeout=30)

    assert sink.arrivals().identifies == 2


def test_nothing_is_left_of_what_came_before_a_reset(sink: SinkProcess) -> None:
    requests.post(f"{sink.url}/v1/batch", BODY, timeout=30)
    sink.reset()

    assert sink.arrivals().each == []


def test_an_export_is_handed_out_as_its_file_is(sink: SinkProcess, tmp_path: Path) -> None:
    export = tmp_path / "export.csv"
    export.write_bytes(b'"amplitude_id","user_id"\n' + b'"1","u"\n' * 100_000)
    sink.hand_out(export)

    answer = requests.get(f"{sink.url}/api/5/cohorts/request/r1/file", timeout=30)

    assert answer.content == export.read_bytes()
