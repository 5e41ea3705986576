"""Where Airflow has no dependencies that check rights, no route responds with data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.testclient import TestClient

from airflow_provider_amplitude_segment.ui.lazy_app import LazyApp

if TYPE_CHECKING:
    import pytest


def test_without_airflows_checks_of_rights_every_response_is_503(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "airflow_provider_amplitude_segment.ui.api", None)
    app = FastAPI()
    app.mount("/cohort-syncs", LazyApp())
    client = TestClient(app)

    statuses = [client.get(f"/cohort-syncs/{route}").status_code for route in ("syncs", "task", "pages/a.js")]

    assert statuses == [503, 503, 503]
    assert [record.levelname for record in caplog.records if record.name.startswith("airflow_provider")] == ["ERROR"]
