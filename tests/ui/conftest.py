"""The sandbox and a real Airflow without any connection, started once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from standalone import Standalone, standalone

from airflow_provider_amplitude_segment.sandbox import Sandbox, sample_cohorts

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
AD_HOC = "amplitude_segment_ad_hoc"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox's own cohorts; at Segment's pace, the one to sync takes some 25 seconds for two destinations."""
    with Sandbox.start(cohorts=sample_cohorts()) as running:
        running.amplitude.requests_per_ten_minutes = None
        yield running


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """``airflow standalone`` with the example DAGs and the Test button, as it comes: no connection is set."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        # Airflow 2 would make a segment_default of its own, which leads to Segment itself.
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(home / "state"),
    }
    with standalone(home, ROOT / "example_dags", env) as running:
        running.wait_for_dags(AD_HOC)
        yield running
