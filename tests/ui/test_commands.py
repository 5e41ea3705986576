"""What somebody does at a terminal, on either Airflow: test both connections, trigger a run with a configuration."""

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


def test_airflow_connections_test_says_that_the_keys_of_amplitude_work(connected: Standalone) -> None:
    printed = " ".join(connected.command("connections", "test", "amplitude_default").split())

    assert "Connection success!" in printed
    assert "Works: Amplitude accepts both keys" in printed


def test_airflow_connections_test_says_that_segment_is_reached_and_accepts_any_key(connected: Standalone) -> None:
    printed = " ".join(connected.command("connections", "test", "segment_emea").split())

    assert "Connection success!" in printed
    assert "Reached, but Segment accepts any key" in printed


def test_a_run_that_is_triggered_with_a_configuration_ends_well(connected: Standalone, sandbox: Sandbox) -> None:
    """The cohort is given by its address, and told to the connection of the configuration."""
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
