"""Find the kind of network fault behind an exception of any library.

Only codes, numbers, class names and the fixed beginnings of texts are read, because a library's text may quote a URL,
and a URL may hold a proxy's password.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal[
    "issuer",
    "name",
    "expired",
    "early",
    "certificate",
    "authorities",
    "own certificate",
    "own files",
    "tls files",
    "plain",
    "old tls",
    "tls ended",
    "tls",
    "no package",
    "proxy address",
    "proxy login",
    "proxy refuses",
    "proxy fails",
    "address",
    "dns",
    "refused",
    "no route",
    "closed",
    "connect time-out",
    "time-out",
    "cut",
    "undecodable",
    "not http",
    "unknown",
]


# OpenSSL's numbers, the same in all its versions: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_VERIFY_CODES: dict[int, Kind] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 27), "issuer"),
    9: "early",
    10: "expired",
    62: "name",
    64: "name",
}

# Parts of OpenSSL's names for its errors (https://github.com/openssl/openssl/blob/master/crypto/err/openssl.txt). With
# an alert the other side rejects our certificate; one of them may also mean a TLS version that is too old.
_TLS_REASONS: dict[str, Kind] = {
    "NO_CERTIFICATE_OR_CRL_FOUND": "authorities",
    "KEY_VALUES_MISMATCH": "own files",
    "ALERT_BAD_CERTIFICATE": "own certificate",
    "ALERT_UNKNOWN_CA": "own certificate",
    "ALERT_CERTIFICATE_": "own certificate",
    "ALERT_UNSUPPORTED_CERTIFICATE": "own certificate",
    "ALERT_ACCESS_DENIED": "own certificate",
    "ALERT_HANDSHAKE_FAILURE": "own certificate",
    "WRONG_VERSION_NUMBER": "plain",
    "HTTP_REQUEST": "plain",
    "UNKNOWN_PROTOCOL": "plain",
    "PACKET_LENGTH_TOO_LONG": "plain",
    "RECORD_LAYER_FAILURE": "plain",
    "PROTOCOL_VERSION": "old tls",
    "UNSUPPORTED_PROTOCOL": "old tls",
    "NO_PROTOCOLS_AVAILABLE": "old tls",
    "LEGACY_RENEGOTIATION": "old tls",
    "KEY_TOO_SMALL": "old tls",
    "MD_TOO_WEAK": "old tls",
    "UNEXPECTED_EOF": "tls ended",
}

_NUMBERS: dict[int, Kind] = {
    errno.ECONNREFUSED: "refused",
    **dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL), "no route"),
    **dict.fromkeys((errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE), "closed"),
    errno.ETIMEDOUT: "connect time-out",
}

# Classes of requests, urllib3, http.client, aiohttp and botocore, the more specific ones first.
_CLASSES: dict[str, Kind] = {
    "InvalidProxyURL": "proxy address",
    "InvalidProxiesConfigError": "proxy address",
    "ProxySchemeUnknown": "proxy address",
    "CertificateError": "name",
    "ConnectTimeout": "connect time-out",
    "ConnectTimeoutError": "connect time-out",
    "ConnectionTimeoutError": "connect time-out",
    "ReadTimeout": "time-out",
    "ReadTimeoutError": "time-out",
    "SocketTimeoutError": "time-out",
    "ServerTimeoutError": "time-out",
    "FSTimeoutError": "time-out",
    "TimeoutError": "time-out",
    "IncompleteRead": "cut",
    "InvalidChunkLength": "cut",
    "ChunkedEncodingError": "cut",
    "ClientPayloadError": "cut",
    "ResponseStreamingError": "cut",
    "RemoteDisconnected": "closed",
    "ServerDisconnectedError": "closed",
    "ConnectionClosedError": "closed",
    "BadStatusLine": "not http",
    "LineTooLong": "not http",
    "ContentDecodingError": "undecodable",
    "DecodeError": "undecodable",
    "LocationParseError": "address",
    "InvalidURL": "address",
    "InvalidSchema": "address",
    "MissingSchema": "address",
}

_PROXY_CLASSES = frozenset({"ProxyError", "ProxyConnectionError", "ClientProxyConnectionError", "ClientHttpProxyError"})

# botocore writes http:// before a proxy's address of another scheme, so the scheme is looked up as a host.
_SOCKS_HOSTS = frozenset({"socks", "socks4", "socks4a", "socks5", "socks5h"})

# A missing file without a name inside of these is OpenSSL's, which names no file.
_TLS_WRAPPERS = frozenset({"HTTPClientError", "SSLError"})

_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")
_TRANSIENT_PROXY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_PROXY_LOGIN = 407


def find_kind(error: BaseException) -> Kind | None:
    """Return the kind of fault that an exception's chain shows; ``None`` where it shows none.

    >>> find_kind(OSError(errno.ECONNREFUSED, "")), find_kind(ValueError("mine"))
    ('refused', None)
    """
    chain = tuple(causes(error))
    for found in chain:
        kind = _kind_of_tls(found) or _kind_of_proxy(found) or _kind_of_files(found)
        if kind is not None:
            return kind
    return _kind_of_connection(chain)


def is_at_proxy(error: BaseException) -> bool:
    """Return whether the fault is the proxy's, not the server's behind it."""
    return any(type(found).__name__ in _PROXY_CLASSES for found in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all of its causes, which libraries keep in different places."""
    waiting, seen = [error], set()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        # botocore raises an error again while it handles another one, which then replaces the cause.
        kept = getattr(found, "kwargs", None)
        inner += [kept.get("error")] if isinstance(kept, dict) else []
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _kind_of_connection(chain: Sequence[BaseException]) -> Kind | None:
    if any(_is_nameless_file(found) for found in chain) and not _TLS_WRAPPERS.isdisjoint(map(_name, chain)):
        return "tls files"
    for found in chain:
        if isinstance(found, socket.gaierror):
            return "proxy address" if any(_asked_host(found) in _SOCKS_HOSTS for found in chain) else "dns"
        if isinstance(found, OSError) and found.errno in _NUMBERS:
            return _NUMBERS[found.errno]
    if any(isinstance(found, ssl.SSLError) for found in chain):
        is_certificates = any(isinstance(found, ssl.SSLCertVerificationError) for found in chain)
        return "certificate" if is_certificates else "tls"
    names = set(map(_name, chain))
    return next((kind for name, kind in _CLASSES.items() if name in names), None)


def _name(found: BaseException) -> str:
    return type(found).__name__


def _is_nameless_file(found: BaseException) -> bool:
    return isinstance(found, FileNotFoundError) and found.errno == errno.ENOENT and found.filename is None


def _asked_host(found: BaseException) -> object:
    """Return the host whose name was looked up, where aiohttp or urllib3 keep it."""
    return getattr(found, "host", None) or getattr(getattr(found, "conn", None), "host", None)


def _kind_of_tls(found: BaseException) -> Kind | None:
    # aiohttp's errors have these classes too, but neither number nor name.
    if isinstance(found, ssl.SSLCertVerificationError) and (code := getattr(found, "verify_code", 0)):
        return _VERIFY_CODES.get(code, "certificate")
    if isinstance(found, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "tls ended"
    if not isinstance(found, ssl.SSLError):
        return None
    reason = getattr(found, "reason", None) or ""
    # For a file that is not PEM, the error has no reason.
    if not reason and "PEM lib" in str(found):
        return "own files"
    return next((kind for part, kind in _TLS_REASONS.items() if part in reason), None)


def _kind_of_proxy(found: BaseException) -> Kind | None:
    tunnel = _TUNNEL.match(str(found)) if isinstance(found, OSError) else None
    status = int(tunnel[1]) if tunnel else None
    if type(found).__name__ == "ClientHttpProxyError":
        status = getattr(found, "status", None)
    if status == _PROXY_LOGIN:
        return "proxy login"
    if status is not None:
        return "proxy fails" if status in _TRANSIENT_PROXY_STATUSES else "proxy refuses"
    is_socks = type(found).__name__ == "InvalidSchema" and str(found).startswith("Missing dependencies for SOCKS")
    return "no package" if is_socks else None


def _kind_of_files(found: BaseException) -> Kind | None:
    """Return the kind of a file that requests misses, by its fixed words, because it raises a bare ``OSError``."""
    if not isinstance(found, OSError):
        return None
    if str(found).startswith("Could not find a suitable TLS CA certificate bundle"):
        return "authorities"
    return "own files" if str(found).startswith("Could not find the TLS") else None
