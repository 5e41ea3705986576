"""Behind a proxy that drops what says where a body ends, a cut changes nothing that Segment believes."""

import json
from collections.abc import Iterator

import pytest
from fakes.http10_proxy import Http10Proxy
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import ExportCutOffError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

USERS = [f"user-{number:05d}" for number in range(2_000)]


@pytest.fixture
def proxy(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Http10Proxy]:
    """Let everything that is asked of Amplitude and Segment go through it."""
    with Http10Proxy(sandbox.url) as running:
        for name, connection in sandbox.airflow_connections().items():
            monkeypatch.setenv(name, json.dumps({**json.loads(connection), "host": running.url, "port": None}))
        yield running


def believed(sandbox: Sandbox) -> set[str]:
    return set(sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)"))


def test_an_export_cut_at_the_end_of_a_line_changes_nobody_and_its_retry_comes_whole(
    sandbox: Sandbox, sync: Sync, proxy: Http10Proxy
) -> None:
    sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", USERS)
    sync(FakeTaskInstance("first"))
    assert believed(sandbox) == set(USERS)

    def cut(path: str, body: bytes) -> bytes:
        return b"".join(body.splitlines(keepends=True)[: 1 + 1_598]) if path.endswith("/file") else body

    proxy.hand_on = cut
    with pytest.raises(ExportCutOffError, match="1,598 rows, Amplitude lists 2,000 users"):
        sync(FakeTaskInstance("second"))
    assert believed(sandbox) == set(USERS)
    assert sandbox.segment.identifies_received == 2_000

    proxy.hand_on = lambda _path, body: body
    report = sync(FakeTaskInstance("second", try_number=2))
    assert (report["rows"], report["destinations"][0]["unchanged"]) == (2_000, 2_000)
    assert believed(sandbox) == set(USERS)
    assert sandbox.amplitude.exports_spent == 2
