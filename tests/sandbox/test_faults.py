"""Faults happen where and when they were ordered."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

ANN = {"type": "identify", "userId": "ann", "traits": {"t": True}}


def believed(sandbox: Sandbox) -> set[str]:
    """Who Segment believes to have the trait."""
    return sandbox.segment.believes(WRITE_KEY_DEFAULT, "t")


def test_a_status_is_answered_instead_of_the_work(sandbox: Sandbox, segment: Any) -> None:
    """A status fault answers its own headers and body, Segment hears nothing, the next request is well."""
    sandbox.faults.add(Fault(on="segment.batch", status=429, headers={"Retry-After": "7"}, body=b"slow down"))

    answer = segment.send(ANN)

    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (429, "7", "slow down")
    assert believed(sandbox) == set()
    assert sandbox.segment.batches == []
    assert segment.send(ANN).status_code == 200
    assert believed(sandbox) == {"ann"}


def test_an_answer_can_be_lost_after_the_work(sandbox: Sandbox, segment: Any) -> None:
    """With apply the work is done, with any response to the client."""
    sandbox.faults.add(Fault(on="segment.batch", status=503, apply=True))

    assert segment.send(ANN).status_code == 503
    assert believed(sandbox) == {"ann"}


@pytest.mark.parametrize("apply", [False, True])
def test_a_connection_can_be_reset(sandbox: Sandbox, segment: Any, *, apply: bool) -> None:
    """A reset cuts the connection without an answer, before the work or after it."""
    sandbox.faults.add(Fault(on="segment.batch", reset=True, apply=apply))

    with pytest.raises(requests.ConnectionError):
        segment.send(ANN)
    assert believed(sandbox) == ({"ann"} if apply else set())
    assert segment.send(ANN).status_code == 200


def test_a_file_can_be_cut_short(sandbox: Sandbox, amplitude: Any) -> None:
    """A cut file announces its whole length and ends before it."""
    request_id = amplitude.complete()
    whole = amplitude.file(request_id).content
    sandbox.faults.add(Fault(on="amplitude.file", cut_after_bytes=30))

    cut = amplitude.get(f"/api/5/cohorts/request/{request_id}/file", stream=True)

    assert int(cut.headers["Content-Length"]) == len(whole)
    assert cut.raw.read(30) == whole[:30]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(cut.iter_content(100))
    assert amplitude.file(request_id).content == whole


def test_a_large_file_can_be_cut_in_the_middle(sandbox: Sandbox, amplitude: Any) -> None:
    """What comes before a cut arrives whole, even when it is megabytes."""
    sandbox.amplitude.cohorts["26umsb5"].user_ids = [f"user{number:09d}" for number in range(200_000)]
    request_id = amplitude.complete()
    sandbox.faults.add(Fault(on="amplitude.file", cut_after_bytes=4_000_000))

    cut = amplitude.get(f"/api/5/cohorts/request/{request_id}/file", stream=True)

    assert len(cut.raw.read(4_000_000)) == 4_000_000
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        list(cut.iter_content(100))


def test_a_file_can_be_cut_without_a_sign_of_it(sandbox: Sandbox, amplitude: Any) -> None:
    """As behind a proxy of HTTP/1.0: no length, no chunks, and the end of the connection for an end."""
    request_id = amplitude.complete()
    whole = amplitude.file(request_id).content
    sandbox.faults.add(
        Fault(on="amplitude.file", cut_after_bytes=30, cut_unannounced=True),
        Fault(on="amplitude.file", cut_unannounced=True),
    )

    cut, unannounced = amplitude.file(request_id), amplitude.file(request_id)

    for answer in (cut, unannounced):
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        assert not {"content-length", "transfer-encoding"} & {name.lower() for name in answer.headers}
    assert (cut.content, unannounced.content) == (whole[:30], whole)


def test_a_large_file_without_an_announced_end_comes_whole(sandbox: Sandbox, amplitude: Any) -> None:
    """The connection is closed when the last byte has left, also of megabytes."""
    sandbox.amplitude.cohorts["26umsb5"].user_ids = [f"user{number:09d}" for number in range(200_000)]
    request_id = amplitude.complete()
    whole = amplitude.file(request_id).content
    sandbox.faults.add(
        Fault(on="amplitude.file", cut_unannounced=True),
        Fault(on="amplitude.file", cut_after_bytes=4_000_000, cut_unannounced=True),
    )

    assert amplitude.file(request_id).content == whole
    assert amplitude.file(request_id).content == whole[:4_000_000]


def test_an_answer_can_be_late(sandbox: Sandbox, segment: Any) -> None:
    """A delay alone gives the real answer, later; other requests are not held up by it."""
    sandbox.faults.add(Fault(on="segment.batch", delay_seconds=0.5, headers={"X-Late": "yes"}))
    started = time.monotonic()
    late = segment.send(ANN)

    assert time.monotonic() - started >= 0.5
    assert (late.json(), late.headers["X-Late"]) == ({"success": True}, "yes")


def test_a_late_batch_arrives_after_its_client_has_gone(sandbox: Sandbox, segment: Any) -> None:
    """A client that does not wait for a delayed answer has its batch applied all the same, later."""
    sandbox.faults.add(Fault(on="segment.batch", delay_seconds=50))
    body = json.dumps({"batch": [ANN]}).encode()
    with pytest.raises(requests.ReadTimeout):
        segment.session.post(sandbox.url + "/v1/batch", data=body, auth=(WRITE_KEY_DEFAULT, ""), timeout=(5, 0.1))
    assert believed(sandbox) == set()
    sandbox.faults.clear()

    deadline = time.monotonic() + 10
    while not believed(sandbox) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert believed(sandbox) == {"ann"}


def test_with_apply_a_delay_comes_after_the_work(sandbox: Sandbox, segment: Any) -> None:
    """A client that gives up on a delayed answer may have been heard already."""
    sandbox.faults.add(Fault(on="segment.batch", delay_seconds=1, apply=True))
    body = json.dumps({"batch": [ANN]}).encode()

    with pytest.raises(requests.ReadTimeout):
        segment.session.post(sandbox.url + "/v1/batch", data=body, auth=(WRITE_KEY_DEFAULT, ""), timeout=(5, 0.3))
    assert believed(sandbox) == {"ann"}


def test_faults_are_met_in_order(sandbox: Sandbox, segment: Any, amplitude: Any) -> None:
    """Faults of one kind are met one after the other, each after what it skips; others do not count."""
    sandbox.faults.add(
        Fault(on="segment.batch", status=500, after=1, times=2),
        Fault(on="amplitude.list", status=418),
        Fault(on="segment.batch", status=502, after=1),
    )

    assert [segment.send(ANN).status_code for _ in range(6)] == [200, 500, 500, 200, 502, 200]
    assert amplitude.get("/api/3/cohorts").status_code == 418
    assert (sandbox.faults.met, sandbox.faults.pending) == (4, [])


@pytest.mark.parametrize(
    ("on", "path"),
    [
        ("amplitude.list", "/api/3/cohorts?includeSyncInfo=true"),
        ("amplitude.usage", "/api/3/cohorts/usage"),
        ("amplitude.request", "/api/5/cohorts/request/26umsb5?props=1"),
        ("amplitude.status", "/api/5/cohorts/request-status/x"),
        ("amplitude.file", "/api/5/cohorts/request/x/file"),
        ("amplitude.storage", "/storage/x/cohort.csv"),
    ],
)
def test_each_kind_of_request_can_fail(sandbox: Sandbox, amplitude: Any, on: Any, path: str) -> None:
    """Every kind of request meets the faults of its own name."""
    sandbox.faults.add(Fault(on=on, status=418, body=b"{}"))

    assert amplitude.get(path).status_code == 418
    assert sandbox.faults.pending == []


def test_a_request_whose_answer_was_lost_is_spent(sandbox: Sandbox, amplitude: Any) -> None:
    """An export request that was applied and cut costs an export of the month."""
    sandbox.faults.add(Fault(on="amplitude.request", reset=True, apply=True))

    with pytest.raises(requests.ConnectionError):
        amplitude.request()
    assert sandbox.amplitude.exports_spent == sandbox.amplitude.used_this_month == 1


def test_faults_can_be_called_off(sandbox: Sandbox, segment: Any) -> None:
    """A cleared fault affects no request."""
    sandbox.faults.add(Fault(on="segment.batch", status=500, times=99))
    sandbox.faults.clear()

    assert segment.send(ANN).status_code == 200


def test_to_call_faults_off_ends_their_delays(sandbox: Sandbox, segment: Any) -> None:
    """A request that waits is answered at once."""
    sandbox.faults.add(Fault(on="segment.batch", delay_seconds=50))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(segment.send, ANN)
        while not sandbox.faults.met:
            time.sleep(0.01)

        sandbox.faults.clear()

        assert sent.result(timeout=20).status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        {"on": "segment.bach"},
        {"on": "segment.batch", "times": 0},
        {"on": "segment.batch", "reset": True, "cut_unannounced": True},
        {"on": "segment.batch", "body": b"x"},
        {"on": "segment.batch", "reset": True, "status": 500},
    ],
)
def test_a_fault_that_cannot_happen_is_refused(parts: dict[str, Any]) -> None:
    """A misspelt or contradictory fault raises where it is written."""
    with pytest.raises(ValueError, match="Fault"):
        Fault(**parts)
