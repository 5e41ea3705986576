"""Read the field of a connection that overrides a region's host, and refuse hosts that people enter by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_amplitude_segment.core.export.download import is_loopback
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.connection.pasted_url import before_call

if TYPE_CHECKING:
    from collections.abc import Mapping

# Some of Segment's own settings end with the version.
_VERSION_PATHS = frozenset({"", "/v1"})
_TAKES_HOST = (
    "no value, to use the region's host, or a host or URL with neither credentials nor query, "
    "e.g. https://api.example.com"
)


@dataclass(frozen=True, slots=True)
class HostField:
    """A field that overrides the region's host.

    Attributes:
        label: as the form shows it.
        value: a host or a URL; ``None`` or blank for none.
        schema: of the URL, where ``value`` has none.
        port: where ``value`` has none.
    """

    label: str
    value: str | None
    schema: str | None = None
    port: int | None = None


def read_host(conn_id: str, field: HostField) -> str | None:
    """Return the base URL that a field names; ``None`` where it is empty.

    :raises SettingError: the value is no host
    """
    host = (field.value or "").strip()
    if not host:
        return None
    field_name = setting(conn_id, field.label)
    schema = (field.schema or "").strip().lower()
    try:
        parts = urlsplit(host if "://" in host else f"//{host}")
        name, port = parts.hostname, parts.port or field.port
    except ValueError:
        raise SettingError(field_name, "it is not a host", _TAKES_HOST) from None
    odd = any(character.isspace() or not character.isprintable() or character == "\\" for character in host)
    if not name or odd or "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingError(field_name, "it is not a plain host", _TAKES_HOST)
    scheme = parts.scheme.lower() or schema or ("http" if is_loopback(name) else "https")
    if scheme not in {"http", "https"}:
        raise SettingError(field_name, f"{scheme!r} is not a scheme for it", "http or https")
    address = f"[{name}]" if ":" in name else name
    return f"{scheme}://{address}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def find_owner(field_name: str, base_url: str, hosts: Mapping[str, str], others: Mapping[str, str]) -> str | None:
    """Return the region that a base URL's host belongs to; ``None`` for any other host, e.g. a proxy.

    Args:
        field_name: Of the field that has it, for errors.
        base_url: As ``read_host`` returns it.
        hosts: Base URL by region.
        others: By name, hosts of the same vendor that are not this API, and what they are.

    Raises:
        SettingError: The host is another one of the vendor, or the URL already has the path of a call.
    """
    parts = urlsplit(base_url)
    owner = next((region for region, url in hosts.items() if urlsplit(url).hostname == parts.hostname), None)
    regions = f"no value, to use the region's host ({', '.join(f'{region}: {url}' for region, url in hosts.items())})"
    if what := others.get(parts.hostname or ""):
        problem = f"{base_url} is {what}"
        raise SettingError(field_name, problem, f"{regions}, or a host of the API")
    before = before_call(parts.path)
    if owner is not None and parts.path not in _VERSION_PATHS:
        before = ""
    if before is not None:
        problem = f"{base_url} has the path of a call, and each call's own path is added to it"
        takes = regions if owner else f"{parts.scheme}://{parts.netloc}{before}"
        raise SettingError(field_name, problem, takes)
    return owner
