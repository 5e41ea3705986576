"""What is pasted into a field is refused before an export is spent, or means what it says."""

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/identify", "/v1/import", "/v1/track"])
def test_the_address_of_a_call_as_segments_host_spends_no_export(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    fields = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_DEFAULT"])
    pasted = json.dumps({**fields, "host": f"{sandbox.url}{path}", "port": None})
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", pasted)

    with pytest.raises(
        AirflowFailException, match=f"Nothing was sent to Segment in this try\\. Use {sandbox.url}\\."
    ) as failed:
        sync()
    assert isinstance(failed.value.__cause__, SettingError)
    assert sandbox.amplitude.exports_spent == 0


def test_a_file_url_and_its_path_are_one_state(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    state = tmp_path / "my ledger"
    sync(FakeTaskInstance("first"), state_path=f"file://localhost{str(state).replace(' ', '%20')}")
    report = sync(FakeTaskInstance("second"), state_path=str(state))

    assert report["destinations"][0]["unchanged"] == 2
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)") == {"ann", "bob"}


def test_the_file_of_another_machine_is_no_state_path(sandbox: Sandbox, sync: Sync) -> None:
    with pytest.raises(AirflowFailException, match=r"another machine named 'otherhost'.*file:///otherhost/var/ledger"):
        sync(state_path="file://otherhost/var/ledger")
    assert sandbox.amplitude.exports_spent == 0
