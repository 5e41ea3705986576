"""Which Airflow a task runs in: what differs between two installations and is the same on all workers of one.

Why it is these facts, and which pairs of installations they do not tell apart: ADR 0017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_FIRST_WITH_EXECUTION_API = 3
# Airflow's own, where [api] base_url names no host (airflow.executors.base_executor.get_execution_api_server_url).
_DEFAULT_HOST = "http://localhost:8080"


@dataclass(frozen=True, slots=True)
class Installation:
    """One Airflow.

    Attributes:
        identity: the same in every task of it; for hashing only.
        label: for a reader of claims, errors and logs: the configured name, else the address of the web application.
    """

    identity: str
    label: str


def installation_of_task() -> Installation:
    """Return the Airflow that this process is a task of.

    ``[amplitude_segment] installation`` names it. Else its identity is the address by which a task reaches its Airflow,
    without login: on 2.11 the metadata database, on 3.x, where a task has no database, the execution API.
    """
    from airflow import __version__  # noqa: PLC0415 - not while a DAG is parsed
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    named = _option(conf, "amplitude_segment", "installation")
    if named:
        return Installation(named, named)
    if int(__version__.partition(".")[0]) < _FIRST_WITH_EXECUTION_API:
        database, base_url = _option(conf, "database", "sql_alchemy_conn"), _option(conf, "webserver", "base_url")
        return Installation(without_login(database), without_login(base_url))
    base_url = _option(conf, "api", "base_url")
    if not base_url or base_url.startswith("/"):
        base_url = f"{_DEFAULT_HOST}{base_url}"
    api = _option(conf, "core", "execution_api_server_url") or f"{base_url.rstrip('/')}/execution/"
    label = _option(conf, "api", "base_url") or api
    return Installation(without_login(api), without_login(label))


def without_login(url: str) -> str:
    """Return a URL without its user, password, driver and query, any of which may be secret or may change.

    >>> without_login("postgresql+psycopg2://airflow:p@ss/word@db.example.com:5432/airflow?sslmode=require")
    'postgresql://db.example.com:5432/airflow'
    >>> without_login("https://airflow.example.com/team-a/")
    'https://airflow.example.com/team-a'
    """
    scheme, separator, rest = url.partition("://")
    place = rest.rpartition("@")[2].partition("?")[0].rstrip("/")
    return f"{scheme.partition('+')[0]}{separator}{place}" if separator else url.rstrip("/")


def _option(conf: Any, section: str, name: str) -> str:
    return str(conf.get(section, name, fallback="") or "").strip()
