"""The sandbox and a real Airflow without any connection, started once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from standalone import Standalone, standalone

from airflow_provider_amplitude_segment.sandbox import Sandbox, sample_cohorts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser
    from ui.pages_airflow import PagesAirflow

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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    # Not at the top, because the commands are tested on Airflow 2.11 too, where there is no Playwright.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    chromium = shutil.which("chromium")
    assert chromium, "scripts/debian-chromium installs it"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesAirflow]:
    """An Airflow with the reports of past syncs, and a sandbox of its own."""
    from ui.pages_airflow import pages_airflow  # noqa: PLC0415 - it is of Airflow 3

    with Sandbox.start(cohorts=[], keep_messages=True) as sandbox:
        sandbox.amplitude.parallel_per_minute = sandbox.amplitude.requests_per_ten_minutes = None
        with pages_airflow(tmp_path_factory.mktemp("pages"), sandbox) as running:
            yield running
