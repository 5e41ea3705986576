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
COHORT_ID = "26umsb5"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox's own cohorts, small; the one to sync is told for some seconds at Segment's pace."""
    cohorts = sample_cohorts(2000)
    for cohort in cohorts:
        cohort.ready_after_polls = 0
        cohort.user_ids = cohort.user_ids[: 12_000 if cohort.cohort_id == COHORT_ID else 400]
    with Sandbox.start(cohorts=cohorts) as running:
        running.amplitude.requests_per_ten_minutes = None
        yield running


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """``airflow standalone`` with the example DAGs and the Test button, as it comes: no connection is set."""
    home = tmp_path_factory.mktemp("airflow")
    env = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
        "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": str(home / "state"),
    }
    with standalone(home, ROOT / "example_dags", env) as running:
        running.wait_for_dags(AD_HOC)
        yield running
