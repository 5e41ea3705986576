"""The routes behind the pages, on a metadata database, asked by users that are logged in."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Airflow 3.1 is the first with the pages; on earlier lines only what is not loaded is tested.
HAS_PAGES = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 1)
collect_ignore_glob = [] if HAS_PAGES else ["test_[!p]*.py"]


@pytest.fixture(scope="session")
def server(airflow_db: None) -> Iterator[Any]:  # noqa: ARG001 - there must be one
    """An application as Airflow's own, with the routes mounted as Airflow mounts them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "fakes.auth_manager.DagAuthManager")
        app_module = importlib.import_module("airflow.api_fastapi.app")
        fastapi = importlib.import_module("fastapi")
        lazy_app = importlib.import_module("airflow_provider_amplitude_segment.ui.lazy_app")
        app = fastapi.FastAPI()
        app_module.purge_cached_app()
        app_module.init_auth_manager(app)
        app.mount("/cohort-syncs", lazy_app.LazyApp())
        yield app
        app_module.purge_cached_app()


@pytest.fixture
def session(server: Any) -> Iterator[Any]:  # noqa: ARG001 - it makes the database
    """A session on a metadata database without DAGs."""
    rows = importlib.import_module("fakes.metadata_rows")
    with importlib.import_module("airflow.utils.session").create_session() as opened:
        rows.forget_all(opened)
        yield opened
        rows.forget_all(opened)


@pytest.fixture
def ask(server: Any) -> Callable[..., Any]:
    """Return a function that asks a route as a user: ``ask("syncs", "admin")``; no name: without a login."""
    client = importlib.import_module("fastapi.testclient").TestClient(server)
    bearer_of = importlib.import_module("fakes.auth_manager").bearer_of

    def as_user(route: str, name: str | None = "admin", **params: object) -> Any:
        role = "ADMIN" if name == "admin" else "VIEWER"
        headers = {} if name is None else bearer_of(server.state.auth_manager, name, role)
        return client.get(f"/cohort-syncs/{route}", params=params, headers=headers)

    return as_user
