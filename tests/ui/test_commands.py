"""Commands of a user, on either Airflow line: test both connections, trigger a run with a configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_EMEA

if TYPE_CHECKING:
    from standalone import Standalone

    from airflow_provider_amplitude_segment.sandbox import Sandbox

AD_HOC = "amplitude_segment_ad_hoc"
TRIAL = "9apg8e8f"
# Starting Airflow takes up to a minute, and each command some seconds.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def connected(airflow: Standalone, sandbox: Sandbox) -> Standalone:
    """Return Airflow with all connections; those that the browser made are left as they are."""
    listed = json.loads(airflow.command("connections", "list", "--output", "json"))
    made = {connection["conn_id"] for connection in listed}
    for name, connection in sandbox.airflow_connections().items():
        conn_id = name.removeprefix("AIRFLOW_CONN_").lower()
        if conn_id not in made:
            airflow.command("connections", "add", conn_id, "--conn-json", connection)
    return airflow


@pytest.mark.parametrize("conn_id", ["amplitude_default", "segment_emea"])
def test_airflow_connections_test_ends_well(connected: Standalone, conn_id: str) -> None:
    """Of a good end the command says no more."""
    assert "Connection success!" in connected.command("connections", "test", conn_id)


def test_airflow_connections_test_says_why_keys_were_refused(connected: Standalone, sandbox: Sandbox) -> None:
    connection = {"conn_type": "amplitude", "login": "no-such-key", "password": "no-such-secret", "host": sandbox.url}
    connected.command("connections", "add", "amplitude_refused", "--conn-json", json.dumps(connection))

    printed = " ".join(connected.command("connections", "test", "amplitude_refused", may_fail=True).split())

    assert "Connection failed!" in printed
    assert "Refused: Amplitude does not accept these keys" in printed


def test_a_run_that_is_triggered_with_a_configuration_ends_well(connected: Standalone, sandbox: Sandbox) -> None:
    """The cohort is given by its address, and delivered to the connection of the configuration."""
    conf = {
        "cohort_id": f"https://app.amplitude.com/analytics/my-org/cohort/{TRIAL}",
        "segment_conn_ids": ["segment_emea"],
    }
    connected.command("dags", "unpause", AD_HOC)
    connected.command("dags", "trigger", AD_HOC, "--conf", json.dumps(conf), "--run-id", "typed")

    assert connected.wait_for_run(AD_HOC, "typed") == "success"

    comparison = sandbox.compare(TRIAL, write_key=WRITE_KEY_EMEA)
    assert comparison.members > 0
    assert comparison.equal
