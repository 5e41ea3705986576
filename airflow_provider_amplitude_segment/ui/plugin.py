"""Register the pages with Airflow 3.1 and later; on earlier lines the plugin has a name and nothing else.

Airflow imports this module in its scheduler, triggerer and workers too, so it imports nothing that they do not have.
The routes are imported by the first request to them, which only an API server gets.
"""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_provider_amplitude_segment.ui.lazy_app import LazyApp

URL_PREFIX = "/cohort-syncs"

# Airflow 3.1 is the first that loads JavaScript of a plugin, and the first whose plugins have this attribute.
_HAS_PAGES = hasattr(AirflowPlugin, "react_apps")


def bundle_url(module: str) -> str:
    """Return the address of a module of the pages, with the path of ``[api] base_url``.

    Airflow 3.1 and 3.2 import it from a module of their own, so a relative address would not be found; 3.3 resolves it
    against the page's base.
    """
    path = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return f"{path}{URL_PREFIX}/pages/{module}"


def _fastapi_apps() -> list[dict[str, Any]]:
    return [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Cohort syncs"}]


def _react_apps() -> list[dict[str, Any]]:
    return [
        {
            "name": "Cohort syncs",
            "bundle_url": bundle_url("cohort_syncs.js"),
            "destination": "nav",
            "category": "browse",
            "url_route": "cohort-syncs",
        },
        {
            "name": "Cohort sync",
            "bundle_url": bundle_url("cohort_sync_tab.js"),
            "destination": "task_instance",
            "url_route": "cohort-sync",
        },
    ]


class AmplitudeSegmentPlugin(AirflowPlugin):
    """The page *Cohort syncs* below *Browse*, the tab *Cohort sync* of a task instance, and their routes."""

    name = "amplitude_segment"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = _fastapi_apps() if _HAS_PAGES else []
    react_apps: ClassVar[list[dict[str, Any]]] = _react_apps() if _HAS_PAGES else []
