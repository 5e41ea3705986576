"""Base URLs of the vendors' APIs."""

from __future__ import annotations

from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def without_version(base_url: str) -> str:
    """Return a base URL without the ``/v1`` that some of Segment's own settings end with.

    >>> without_version("https://events.eu1.segmentapis.com/v1/")
    'https://events.eu1.segmentapis.com'
    """
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def normal_host(base_url: str) -> str:
    """Return what identifies an API's server: host, port where it is not the usual one, and path.

    >>> normal_host("https://API.segment.io:443/v1/")
    'api.segment.io'
    >>> normal_host("http://127.0.0.1:8080/segment")
    '127.0.0.1:8080/segment'
    """
    parts = urlsplit(without_version(base_url))
    host = parts.hostname or ""
    port = parts.port
    usual = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    return f"{host}{'' if usual else f':{port}'}{parts.path}"
