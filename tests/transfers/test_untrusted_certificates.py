"""A certificate that is not trusted stops a sync at once, names the field that cures it, and nothing is spent twice."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.certificates import Authority
from fakes.http10_proxy import Http10Proxy
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import AmplitudeUnreachableError, SegmentUnreachableError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def https(sandbox: Sandbox, authority: Authority) -> Iterator[Http10Proxy]:
    """The sandbox behind TLS."""
    with Http10Proxy(sandbox.url, tls=authority.context(authority.issue("server"))) as proxy:
        yield proxy


def lead_there(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, conn_id: str, url: str, **extra: object) -> None:
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    fields = json.loads(sandbox.airflow_connections()[name])
    monkeypatch.setenv(name, json.dumps({**fields, "host": url, "port": None, "extra": extra}))


def test_segment_behind_an_unknown_authority_is_tried_once_and_the_cleared_task_goes_on(
    sandbox: Sandbox, sync: Sync, https: Http10Proxy, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_there(monkeypatch, sandbox, "segment_default", https.url)

    with pytest.raises(AirflowFailException, match="Extra verify of the connection") as failed:
        sync()
    assert isinstance(failed.value.__cause__, SegmentUnreachableError)
    assert failed.value.__cause__.pending == 2
    assert "issuer that is unknown here" in str(failed.value)
    assert sandbox.segment.batches == []

    lead_there(monkeypatch, sandbox, "segment_default", https.url, verify=authority.file)
    report = sync(FakeTaskInstance(try_number=2))
    assert report["destinations"][0]["committed"]
    assert report["destinations"][0]["retries"] == 0
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)") == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1


def test_amplitude_behind_an_unknown_authority_fails_before_an_export_is_spent(
    sandbox: Sandbox, sync: Sync, https: Http10Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_there(monkeypatch, sandbox, "amplitude_default", https.url)

    with pytest.raises(AirflowFailException, match="REQUESTS_CA_BUNDLE") as failed:
        sync()
    assert isinstance(failed.value.__cause__, AmplitudeUnreachableError)
    assert sandbox.amplitude.exports_spent == 0
