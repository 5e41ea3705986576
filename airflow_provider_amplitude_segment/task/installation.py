"""Identify the Airflow that a task runs in, equally on all of its workers.

ADR 0017 explains the choice of these facts, and lists the pairs of installations that they do not distinguish.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

_FIRST_WITH_EXECUTION_API = 3
# Airflow's own default for an [api] base_url without a host
# (airflow.executors.base_executor.get_execution_api_server_url).
_DEFAULT_HOST = "http://localhost:8080"

# Host and port, path, query. Without a path no "@" may follow, so that a user and a password are not read as a host
# and a port.
_PLACE = re.compile(r"((?:\[[^]]*\]|[^]:/?@[]*)(?::\d*)?)(?:(/[^?@]*)(?:\?(.*))?|(?:\?([^@]*))?)", re.DOTALL)

# The query keys that locate a database: those of libpq
# (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS), mysqlclient and PyMySQL. Other keys
# hold secrets, or settings that may change while the database stays the same.
_PLACE_KEYS = frozenset(
    {"database", "db", "dbname", "host", "hostaddr", "port", "read_default_file", "service", "unix_socket"}
)
_SEARCH_PATH = re.compile(r"search_path=((?:\\.|\S)+)")


@dataclass(frozen=True, slots=True)
class Installation:
    """One Airflow.

    Attributes:
        identity: the same in each of its tasks; for hashing only.
        label: for people who read claims, errors and logs: the configured name, else the web application's address.
    """

    identity: str
    label: str


def installation_of_task() -> Installation:
    """Return the Airflow that runs this task.

    Its identity is ``[amplitude_segment] installation``. Without that setting it is the address at which a task
    reaches its Airflow, without login: the metadata database on 2.11, the execution API on 3.x.
    """
    from airflow import __version__  # noqa: PLC0415 - not while a DAG is parsed
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    named = _option(conf, "amplitude_segment", "installation")
    if named:
        return Installation(named, named)
    if int(__version__.partition(".")[0]) < _FIRST_WITH_EXECUTION_API:
        database, base_url = _option(conf, "database", "sql_alchemy_conn"), _option(conf, "webserver", "base_url")
        # Two Airflows may use two schemas of one database.
        identity = f"{without_login(database)} {_option(conf, 'database', 'sql_alchemy_schema')}".rstrip()
        return Installation(identity, without_login(base_url))
    base_url = _option(conf, "api", "base_url")
    if not base_url or base_url.startswith("/"):
        base_url = f"{_DEFAULT_HOST}{base_url}"
    api = _option(conf, "core", "execution_api_server_url") or f"{base_url.rstrip('/')}/execution/"
    label = _option(conf, "api", "base_url") or api
    return Installation(without_login(api), without_login(label))


def without_login(url: str) -> str:
    """Return a URL without user, password, driver and settings, because these may be secret or may change.

    The query keeps the keys that name a host or a database, because some URLs name them only there.

    >>> without_login("postgresql+psycopg2://airflow:p@ss/word@db.example.com:5432/airflow?sslmode=require")
    'postgresql://db.example.com:5432/airflow'
    >>> without_login("https://airflow.example.com/team-a/")
    'https://airflow.example.com/team-a'
    >>> without_login("postgresql:///airflow?host=db-blue&user=airflow&password=p@ss&sslmode=require")
    'postgresql:///airflow?host=db-blue'
    >>> without_login("postgresql://db/airflow?options=-csearch_path%3Dteam_a%20-cstatement_timeout%3D9")
    'postgresql://db/airflow?search_path=team_a'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rstrip("/")
    host, path, query = _split_place(rest)
    place = f"{host}{path.rstrip('/')}{'?' if query else ''}{'&'.join(query)}"
    return f"{scheme.partition('+')[0]}{separator}{place}"


def _split_place(rest: str) -> tuple[str, str, list[str]]:
    """Return host and port, path, and the query's keys that locate a database; ``rest`` follows a URL's scheme.

    The user's part ends at the first "@" that a valid host can follow, because a password may hold any character.

    >>> _split_place("airflow:p?ss@db:5432/airflow"), _split_place("db:5432/airflow?password=p@ss")
    (('db:5432', '/airflow', []), ('db:5432', '/airflow', []))
    """
    ends = [0, *(found.end() for found in re.finditer("@", rest))]
    match = next((match for end in ends if (match := _PLACE.fullmatch(rest, end))), None)
    if match is None:
        return rest.rpartition("@")[2].partition("?")[0], "", []
    host, path, query, query_without_path = match.groups(default="")
    return host, path, _place_of_query(query or query_without_path)


def _place_of_query(query: str) -> list[str]:
    parts = []
    for key, value in parse_qsl(query):
        if key in _PLACE_KEYS:
            parts.append(f"{key}={value}")
        elif key == "options" and (found := _SEARCH_PATH.search(value)):
            parts.append(f"search_path={found[1]}")
    return parts


def _option(conf: Any, section: str, name: str) -> str:
    return str(conf.get(section, name, fallback="") or "").strip()
