"""Airflow with the pages, seen by an admin and by a viewer who may read one DAG."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import requests
from standalone import Standalone, standalone
from ui.one_dag_auth_manager import DAG_OF_THE_VIEWER, OneDagAuthManager
from ui.past_reports import PastCohort, PastReports

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from airflow_provider_amplitude_segment.sandbox import Sandbox

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs" / "images"
GROWTH, MANY = "growth_daily", "many_cohorts"
OWN_DAGS = ("syncing", "asking", "not_asking", "verifying", "retiring")
PAGE = "/plugin/cohort-syncs"
COHORTS = [
    PastCohort("26umsb5", "Power users", members=12_400),
    PastCohort("8kq2v1x", "At risk of leaving", "segment_emea", 4_100, -8, "failed"),
    PastCohort("c03p7rz", "Trial ends in 3 days", members=900, growth=2),
    PastCohort("m5t9w2d", "Lifecycle: dormant for 90 days", members=31_000, growth=45, last="skipped"),
    PastCohort("pz41hha", "VIP & <b>partners</b>", "segment_emea", 350, 1, "awaiting_input"),
]


@dataclass(frozen=True)
class PagesAirflow:
    """An Airflow with past reports, its sandbox, and the token of each user."""

    airflow: Standalone
    sandbox: Sandbox
    tokens: dict[str, str]

    def get(self, user: str | None, path: str, **parameters: Any) -> requests.Response:
        """Ask one of the provider's routes as a user, or without credentials."""
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        url = f"{self.airflow.url}/cohort-syncs/{path}"
        return requests.get(url, params=parameters, headers=headers, timeout=60)

    def window(self, browser: Browser, user: str) -> Page:
        """Open a window in which a user is logged in."""
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en", timezone_id="UTC")
        context.add_cookies([{"name": "_token", "value": self.tokens[user], "url": self.airflow.url}])
        page = context.new_page()
        page.set_default_timeout(60_000)
        return page

    def cohort(self, cohort_id: str, members: int) -> None:
        """Make a cohort of users ``0`` to ``members``."""
        users = [f"{cohort_id}-user{number}@example.com" for number in range(members)]
        self.sandbox.amplitude.cohorts[cohort_id] = SandboxCohort(cohort_id, "Power users", users, delivery="storage")

    def believed(self, cohort_id: str) -> int:
        """Return how many users Segment believes to be members."""
        return len(self.sandbox.segment.believes(WRITE_KEY_DEFAULT, f"Power users ({cohort_id})"))

    def run(self, dag_id: str, cohort_id: str, **conf: Any) -> str:
        """Run a DAG to its end, which must be a good one, and return the run's ID."""
        run_id = self.airflow.start_run(dag_id, {"cohort_id": cohort_id, **conf})
        assert self.airflow.wait_for_run(dag_id, run_id) == "success"
        return run_id

    def tab(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return the address of the tab of a task instance."""
        return f"{self.airflow.url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/plugin/cohort-sync"


def _settings(home: Path, state: str) -> dict[str, str]:
    passwords = home / "passwords.json"
    passwords.write_text('{"admin": "admin", "viewer": "viewer"}')
    return {
        "AIRFLOW__CORE__AUTH_MANAGER": f"{OneDagAuthManager.__module__}.{OneDagAuthManager.__name__}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viewer:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH": state,
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        DAG_OF_THE_VIEWER: GROWTH,
        # The auth manager is a module of the tests.
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }


@contextmanager
def pages_airflow(home: Path, sandbox: Sandbox) -> Iterator[PagesAirflow]:
    """Start Airflow, and give it 60 days of five cohorts, and 100 days of 200 cohorts."""
    # The pictures show the folder's name.
    with TemporaryDirectory(prefix="ledgers-") as state:
        env = {**sandbox.airflow_connections(proved=True), **_settings(home, state)}
        with standalone(home / "airflow", HERE / "dags", env) as airflow:
            yield _filled(airflow, sandbox)


def _filled(airflow: Standalone, sandbox: Sandbox) -> PagesAirflow:
    tokens = {user: airflow.log_in(user, user) for user in ("viewer", "admin")}
    airflow.wait_for_dags(GROWTH, MANY, *OWN_DAGS)
    many = [PastCohort(f"many{number}", f"Cohort {number}") for number in range(200)]
    for dag_id, cohorts, days in ((GROWTH, COHORTS, 60), (MANY, many, 100)):
        run_id = airflow.start_run(dag_id, {})
        assert airflow.wait_for_run(dag_id, run_id) == "success"
        PastReports(airflow.home, dag_id, run_id).write(cohorts, days)
    return PagesAirflow(airflow, sandbox, tokens)
