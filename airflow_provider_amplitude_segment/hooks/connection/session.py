"""Open a ``requests`` session for an endpoint with ``HttpHook``, and correct what does not suit this package."""

from __future__ import annotations

import json
import logging
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Connection
from airflow.providers.http.hooks.http import HttpHook
from requests.auth import HTTPBasicAuth
from requests.utils import default_headers, get_environ_proxies, select_proxy
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter

from airflow_provider_amplitude_segment import __version__
from airflow_provider_amplitude_segment.core.export.download import is_safe_link
from airflow_provider_amplitude_segment.hooks.connection.proxies import check_proxy_package

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests
    from requests.auth import AuthBase

    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

log = logging.getLogger(__name__)

POOL_CONNECTIONS = 32
"""Connections to one host that are kept open: twice the number that a sync is likely to use at once."""


class _EndpointHook(HttpHook):
    """``HttpHook`` for an endpoint that was read already; it sees nothing else of the connection."""

    def __init__(self, endpoint: Endpoint, adapter: TCPKeepAliveAdapter) -> None:
        super().__init__(http_conn_id=endpoint.conn_id, adapter=adapter)
        self._endpoint = endpoint

    def get_connection(self, conn_id: str) -> Connection:
        """Return a connection with host and TLS options only, because ``HttpHook`` makes headers of other options."""
        endpoint = self._endpoint
        options: dict[str, Any] = {
            "verify": endpoint.verify,
            "cert": endpoint.cert,
            "proxies": dict(endpoint.proxies),
            "trust_env": endpoint.trust_env,
        }
        return Connection(conn_id=conn_id, conn_type="http", host=endpoint.base_url, extra=json.dumps(options))


def open_session(endpoint: Endpoint, auth: AuthBase | Callable[[Any], Any]) -> requests.Session:
    """Return a session for an endpoint, to be kept for a client's life.

    :param endpoint: host, TLS settings, proxies
    :param auth: signs each request; no authentication of a URL or of ``.netrc`` is ever added
    :raises SettingError: the host is reached through a SOCKS proxy, and the package for one is missing
    """
    adapter = TCPKeepAliveAdapter(idle=120, count=20, interval=30, pool_maxsize=POOL_CONNECTIONS)
    session: requests.Session = _EndpointHook(endpoint, adapter).get_conn()
    # HttpHook mounts a given adapter under the base URL's scheme only.
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # Older versions of HttpHook make headers of the options that they do not know.
    session.headers.clear()
    session.headers.update(default_headers())
    session.headers["User-Agent"] = f"airflow-provider-amplitude-segment/{__version__}"
    session.trust_env = endpoint.trust_env
    # JSON turns a pair into a list, which requests takes for a path.
    session.cert = endpoint.cert
    session.auth = auth
    environment = get_environ_proxies(endpoint.base_url) if endpoint.trust_env else {}
    proxy = select_proxy(endpoint.base_url, {**environment, **endpoint.proxies})
    check_proxy_package(endpoint.conn_id, proxy, endpoint.proxies)
    # No cookies, because threads share the session.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def sign_with(login: str, password: str = "") -> AuthBase:
    """Return Basic authentication.

    :param login: an API key or a write key
    :param password: a secret key; empty for Segment, whose form is ``<write key>:``
    """
    # As bytes, because requests encodes a text as Latin-1, and its error for another character quotes the key.
    return HTTPBasicAuth(login.encode(), password.encode())


def sign_with_bearer(token: str) -> Callable[[Any], Any]:
    """Return bearer authentication, which Segment's Public API wants.

    :param token: ASCII without white space, because it becomes a part of a header
    """

    def sign(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign


def sign_nothing(request: Any) -> Any:
    """Return a request as it is; as a session's authentication, this keeps ``.netrc`` from being used."""
    return request


def warn_where_exposed(endpoint: Endpoint) -> None:
    """Log a warning where a connection lets a third party read keys and user IDs."""
    if endpoint.verify is False:
        log.warning(
            "Connection %s: the certificate of %s is NOT verified (Extra verify=false). A third party on the network "
            "can read the key and every user ID.",
            endpoint.conn_id,
            endpoint.base_url,
        )
    if not is_safe_link(endpoint.base_url):
        log.warning("Connection %s: the connection to %s is NOT encrypted.", endpoint.conn_id, endpoint.base_url)
