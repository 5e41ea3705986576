"""The plugin costs a scheduler, a triggerer and a worker nothing, and gives an API server the pages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from ui_server.conftest import HAS_PAGES

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.ui import plugin

PACKAGE = "airflow_provider_amplitude_segment"
ROOT = Path(airflow_provider_amplitude_segment.__file__).parent.parent
ENTRY_POINT = f"{PACKAGE}.ui.plugin:AmplitudeSegmentPlugin"

IMPORT = f"""
import json, sys, warnings
warnings.simplefilter("error")
import airflow.plugins_manager
from airflow.configuration import conf
from airflow.providers.common.compat.sdk import AirflowPlugin
before = set(sys.modules)
import {PACKAGE}.ui.plugin
print(json.dumps(sorted(set(sys.modules) - before)))
"""

LOAD = f"""
import json, logging, sys, warnings
warnings.filterwarnings("error", module="{PACKAGE}")
warned = []
class Keep(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING and "amplitude" in record.getMessage().lower():
            warned.append(record.getMessage())
from airflow import plugins_manager
logging.getLogger().addHandler(Keep())
for name in ("airflow.plugins_manager", "airflow._shared.plugins_manager.plugins_manager"):
    logging.getLogger(name).addHandler(Keep())
plugins_manager.ensure_plugins_loaded()
info = plugins_manager.get_plugin_info(["name", "fastapi_apps", "react_apps"] if {HAS_PAGES} else ["name"])
errors = getattr(plugins_manager, "import_errors", None) or getattr(plugins_manager, "get_import_errors", dict)()
[ours] = [one for one in info if one["name"] == "amplitude_segment"]
print(json.dumps({{"ours": ours, "errors": dict(errors), "warned": warned,
    "routes": "{PACKAGE}.ui.api" in sys.modules}}))
"""

SERVE = f"""
import json, sys
from airflow.api_fastapi.app import create_app
app = create_app(apps="core")
from fastapi.testclient import TestClient
before = "{PACKAGE}.ui.api" in sys.modules
client = TestClient(app, raise_server_exceptions=False)
status = client.get("/cohort-syncs/syncs").status_code
print(json.dumps({{"before": before, "status": status, "after": "{PACKAGE}.ui.api" in sys.modules}}))
"""


def run(program: str, tmp_path: Path, **environment: str) -> Any:
    """Run a program where the plugin's entry point is registered, and return what its last line says."""
    path = [str(ROOT), str(ROOT / "tests")]
    if not any(entry.value == ENTRY_POINT for entry in entry_points(group="airflow.plugins")):
        # The environment was made before the package had the entry point.
        info = tmp_path / "amplitude_segment_plugin-0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: amplitude-segment-plugin\nVersion: 0\n")
        (info / "entry_points.txt").write_text(f"[airflow.plugins]\namplitude_segment = {ENTRY_POINT}\n")
        path.append(str(tmp_path))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), **environment}
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, env=env
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_plugin_brings_two_modules_into_a_process_of_airflow(tmp_path: Path) -> None:
    """Neither FastAPI nor this package's operators, hooks or core."""
    brought = set(run(IMPORT, tmp_path)) - {PACKAGE}
    assert brought == {f"{PACKAGE}.ui", f"{PACKAGE}.ui.lazy_app", f"{PACKAGE}.ui.plugin"}


def test_the_package_registers_the_plugin_by_its_entry_point() -> None:
    declared = (ROOT / "pyproject.toml").read_text()
    assert f'[project.entry-points."airflow.plugins"]\namplitude_segment = "{ENTRY_POINT}"' in declared


def test_airflow_loads_the_plugin_without_an_error_and_without_a_warning(
    tmp_path: Path,
    airflow_db: None,  # noqa: ARG001 - there must be one
) -> None:
    loaded = run(LOAD, tmp_path, AIRFLOW__API__BASE_URL="https://airflow.example.com/team/")
    assert (loaded["errors"], loaded["warned"], loaded["routes"]) == ({}, [], False)
    if not HAS_PAGES:
        assert loaded["ours"] == {"name": "amplitude_segment"}
        return
    assert [app["url_prefix"] for app in loaded["ours"]["fastapi_apps"]] == ["/cohort-syncs"]
    assert {app["destination"]: app["bundle_url"] for app in loaded["ours"]["react_apps"]} == {
        "nav": "/team/cohort-syncs/pages/cohort_syncs.js",
        "task_instance": "/team/cohort-syncs/pages/cohort_sync_tab.js",
    }


def test_before_airflow_3_1_the_plugin_registers_nothing() -> None:
    given = (plugin.AmplitudeSegmentPlugin.fastapi_apps, plugin.AmplitudeSegmentPlugin.react_apps)
    assert all(given) if HAS_PAGES else given == ([], [])


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("", "/cohort-syncs/pages/a.js"),
        ("http://localhost:8080", "/cohort-syncs/pages/a.js"),
        ("https://example.com/a/b/", "/a/b/cohort-syncs/pages/a.js"),
    ],
)
def test_an_address_has_the_path_of_the_base_url(monkeypatch: pytest.MonkeyPatch, base_url: str, address: str) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert plugin.bundle_url("a.js") == address


if HAS_PAGES:

    def test_an_api_server_imports_the_routes_at_their_first_request(
        tmp_path: Path,
        airflow_db: None,  # noqa: ARG001 - there must be one
    ) -> None:
        assert run(SERVE, tmp_path) == {"before": False, "status": 401, "after": True}
