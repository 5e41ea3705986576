"""The proxies of a connection, and of the environment where the connection has none."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.field import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_SCHEMES = frozenset({"http", "https", *_SOCKS})
# Keys that requests knows; a host may follow each, as in "https://api.segment.io".
_KEYS = frozenset({"http", "https", "all", "ftp"})
_NO_PROXY = frozenset({"no", "no_proxy"})
_TAKES = 'an object such as {"https": "http://proxy.example.com:3128"}'
_TAKES_ADDRESS = "addresses that begin with http://, https:// or socks5://, e.g. http://proxy.example.com:3128"


def read_proxies(conn_id: str, value: object) -> dict[str, str]:
    """Return proxies by scheme or host, as requests takes them; a single address is for all.

    Raises:
        SettingError: The value is of another shape. The text leaves the address out, which may hold a password.
    """
    if value is None or value == "":
        return {}
    field = setting(conn_id, "Extra proxies")
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            # One proxy for all.
            value = {"http": value, "https": value}
    if not isinstance(value, dict) or not all(isinstance(proxy, str) for proxy in value.values()):
        raise SettingError(field, "it is not a set of proxies", _TAKES)
    proxies = {str(key).strip().lower(): proxy.strip() for key, proxy in value.items()}
    for key, proxy in proxies.items():
        if key in _NO_PROXY:
            continue
        # requests ignores a key that it does not know and bypasses the proxy.
        if key.partition("://")[0] not in _KEYS or key.endswith("://"):
            raise SettingError(field, f"{key!r} is neither a scheme nor a host that a proxy can be set for", _TAKES)
        if not _is_proxy(proxy):
            raise SettingError(field, f"the value for {key!r} is not a proxy's address", _TAKES_ADDRESS)
    return proxies


def _is_proxy(proxy: str) -> bool:
    """Return whether an address has a host, and a scheme that a proxy can have.

    >>> [_is_proxy(proxy) for proxy in ("http://proxy:3128", "proxy:3128", "http://user:word@", "ftp://proxy", "a b")]
    [True, True, False, False, False]
    """
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = not any(character.isspace() for character in proxy)
    return is_plain and bool(parts.hostname) and parts.scheme.lower() in _SCHEMES


def check_proxy_package(conn_id: str, proxy: str | None, own: Mapping[str, str]) -> None:
    """Refuse a SOCKS proxy without the package for it on this worker, before any request is sent.

    Args:
        conn_id: The connection's ID.
        proxy: The one that its requests go through; ``None`` for none.
        own: The proxies that the connection names.

    Raises:
        SettingError: The package is missing; names where the proxy is set.
    """
    if proxy is None or not proxy.lower().startswith(_SOCKS) or find_spec("socks") is not None:
        return
    is_own = proxy in own.values()
    raise SettingError(
        setting(conn_id, "Extra proxies") if is_own else "HTTPS_PROXY or ALL_PROXY of the environment",
        "it names a SOCKS proxy, and the Python package PySocks is missing",
        "a SOCKS proxy where PySocks is installed (pip install 'requests[socks]'), else one that begins with http://",
    )
