"""Read the endpoint of a connection: host, timeout, TLS settings and proxies."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, mask_secret

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.airflow_warnings import without_airflows_own_warnings
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.connection.host import HostField, find_owner, read_host
from airflow_provider_amplitude_segment.hooks.connection.proxies import read_proxies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import BaseHook, Connection


DEFAULT_REGION = "US"
DEFAULT_TIMEOUT_SECONDS = 60.0

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NO_SECRETS = frozenset(
    {
        "api_conn_id",
        "cert",
        "destination_id",
        "oauth_app_id",
        "oauth_host",
        "oauth_key_id",
        "org_url",
        "profile_host",
        "region",
        "source",
        "space_id",
        "timeout",
        "trust_env",
        "verify",
        "verify_ssl",
        "workspace",
    }
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Host, timeout, TLS settings and proxies of a connection, checked.

    Attributes:
        conn_id: the connection's ID.
        region: ``US`` or ``EU``; it decides ``base_url`` where the connection has no host.
        base_url: scheme, host, port and path, without a slash at its end.
        timeout_seconds: longest silence of the server.
        verify: whether its certificate is checked, or the file of authorities to check it against.
        cert: files of a client certificate and its key.
        proxies: by scheme; may hold a password.
        trust_env: whether the environment's proxies and authorities are used where the connection has none.
        known_region: the region, where the connection names it or its host is that of one; ``None`` for a host of the
            user's own, such as a proxy, which may lead to either.
    """

    conn_id: str
    region: str
    base_url: str
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust_env: bool = True
    known_region: str | None = None


def find_connection(hook: BaseHook, conn_id: str) -> Connection:
    """Return a connection.

    :raises SettingError: Airflow finds no connection of this ID. Airflow 3.0 and 3.1 also report one that they cannot
        read as not found, and log why.
    """
    try:
        with without_airflows_own_warnings():
            return hook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SettingError(
            f"connection {conn_id!r}",
            "Airflow finds none of this ID, or cannot read it",
            "a connection made in the UI, in a secrets backend, or as an environment variable AIRFLOW_CONN_…",
        ) from None


def secret(conn_id: str, label: str, value: str | None) -> str:
    """Return a key without the white space around it, because a secrets file often ends in a line break.

    Raises:
        SettingError: The key is missing or blank.
    """
    key = (value or "").strip()
    if not key:
        # "API" is a name, and so is what stands before it.
        takes = f"the {label if 'API' in label else label.lower()} as it was issued"
        raise SettingError(setting(conn_id, label), "it is missing or blank", takes)
    return key


def text(connection: Any, name: str) -> str | None:
    """Return a text of Extra without the white space around it; ``None`` where it is absent, null or blank.

    :raises SettingError: the value is neither text nor a whole number. Ignoring it would select another destination
        or region.
    """
    value = extra(connection).get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        problem = f"it is {type(value).__name__}, not text"
        raise SettingError(setting(connection.conn_id, f"Extra {name}"), problem, "text")
    return str(value).strip() or None


def extra(connection: Any) -> Mapping[str, Any]:
    """Return a connection's Extra; empty where there is none.

    :raises SettingError: Extra is not a JSON object. Airflow itself treats such an Extra as empty.
    """
    if not (connection.extra or "").strip():
        return {}
    try:
        values = json.loads(connection.extra)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        takes = 'a JSON object such as {"region": "EU"}'
        raise SettingError(setting(connection.conn_id, "Extra"), "it is not a JSON object", takes)
    # extra_dejson masks every value. Only possible secrets are masked here, because Airflow warns about each value that
    # is too short to be masked, such as a region.
    if hidden := {name: value for name, value in values.items() if name not in _NO_SECRETS}:
        mask_secret(hidden)
    return values


def read_endpoint(
    connection: Any,
    hosts: Mapping[str, str],
    others: Mapping[str, str] = MappingProxyType({}),
    *,
    host: HostField | None = None,
    region: str | None = None,
) -> Endpoint:
    """Return the endpoint of an Airflow connection.

    The host of a region decides the region where the connection names none.

    Args:
        connection: Its ``host`` overrides the region's, with ``schema`` and ``port``; from Extra are read
            ``region``, ``timeout``, ``verify``, ``cert``, ``proxies`` and ``trust_env``.
        hosts: Base URL by region.
        others: By name, hosts of the same vendor that are not this API, and what they are.
        host: Another field that overrides the region's host, for an API that the connection has beside its own.
        region: Of the connection's own API, for that other one.

    Raises:
        SettingError: A field cannot be used; names the connection and the field.
    """
    conn_id = connection.conn_id
    named = region or (text(connection, "region") or "").upper()
    if named and named not in hosts:
        raise SettingError(setting(conn_id, "Data region"), f"{named!r} is not a region", " or ".join(hosts))
    host = host or HostField("Host", connection.host, connection.schema, connection.port)
    base_url = read_host(conn_id, host)
    owner = find_owner(setting(conn_id, host.label), base_url, hosts, others) if base_url else None
    if named and owner not in {None, named}:
        problem = f"wrong region: it is {named}, but {host.label} ({base_url}) is that of {owner}"
        takes = f"the region that the project or workspace was made in, and no value in {host.label}"
        raise SettingError(setting(conn_id, "Data region"), problem, takes)
    region = named or owner or DEFAULT_REGION
    options = extra(connection)
    return Endpoint(
        conn_id=conn_id,
        region=region,
        base_url=base_url or hosts[region],
        timeout_seconds=_timeout(conn_id, options.get("timeout")),
        verify=_verify(conn_id, options.get("verify", options.get("verify_ssl"))),
        cert=_certificate(conn_id, options.get("cert")),
        proxies=read_proxies(conn_id, options.get("proxies", options.get("proxy"))),
        trust_env=_flag(conn_id, "trust_env", options.get("trust_env")),
        known_region=region if named or owner or not base_url else None,
    )


def _timeout(conn_id: str, value: object) -> float:
    if value is None or value == "":
        return DEFAULT_TIMEOUT_SECONDS
    try:
        seconds = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 24 * 3600:
        raise SettingError(setting(conn_id, "Timeout"), f"{value!r} is not a time", "seconds over 0, e.g. 60")
    return seconds


def _flag(conn_id: str, name: str, value: object) -> bool:
    if value is None or value == "":
        return True
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise SettingError(setting(conn_id, f"Extra {name}"), "it is neither true nor false", "true or false")
    return word in _TRUE


def _verify(conn_id: str, value: object) -> bool | str:
    # A connection that is written as a URI has only texts in Extra.
    if isinstance(value, str) and value.strip() and value.strip().lower() not in _TRUE | _FALSE:
        return _existing(conn_id, "verify", value.strip())
    return _flag(conn_id, "verify", value)


def _existing(conn_id: str, name: str, path: str) -> str:
    if not Path(path).exists():
        takes = "the path of a file that this worker has"
        raise SettingError(setting(conn_id, f"Extra {name}"), f"there is no {path!r} on this worker", takes)
    return path


def _certificate(conn_id: str, value: object) -> str | tuple[str, str] | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _existing(conn_id, "cert", value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(file, str) for file in value):  # noqa: PLR2004
        return (_existing(conn_id, "cert", value[0]), _existing(conn_id, "cert", value[1]))
    takes = "a file's path, or a list of certificate and key"
    raise SettingError(setting(conn_id, "Extra cert"), "it is not a certificate", takes)
