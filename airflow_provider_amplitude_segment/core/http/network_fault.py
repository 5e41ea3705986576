"""Why no response came, in words, and which field to change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from airflow_provider_amplitude_segment.core.http.network_kind import find_kind, is_at_proxy

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.http.network_kind import Kind

At = Literal["connection", "storage", "token", "store"]
"""Where the fields to change are: in an Amplitude or Segment connection, for its host (``connection``), for the
storage that Amplitude's links lead to (``storage``) or for the host that issues access tokens (``token``); or in the
state path's file system (``store``)."""


@dataclass(frozen=True, slots=True)
class NetworkFault:
    """Why no response came. Holds neither a host nor a secret.

    Attributes:
        reason: what happened, in words.
        advice: what to do, in a sentence.
        is_lasting: whether every retry fails until a person changes something.
    """

    reason: str
    advice: str
    is_lasting: bool


# What happened, and whether it lasts. {it} is the server or the proxy.
_REASONS: dict[Kind, tuple[str, bool]] = {
    "issuer": ("{it} has a certificate of an issuer that is unknown here", True),
    "name": ("{it} has a certificate for another name", True),
    "expired": ("the certificate of {it} has expired", True),
    "early": ("the certificate of {it} is not valid yet", True),
    "certificate": ("the certificate of {it} is not accepted", True),
    "authorities": ("the file of trusted authorities is missing or holds none", True),
    "own certificate": ("{it} refuses the client certificate, or wants one", True),
    "own files": ("the files of the client certificate cannot be used", True),
    "tls files": ("a file of trusted authorities or of a client certificate is missing", True),
    "plain": ("{it} does not speak TLS", True),
    "old tls": ("{it} offers no TLS that is secure enough", True),
    "tls ended": ("{it} closed the connection during the TLS handshake", False),
    "tls": ("TLS with {it} failed", False),
    "no package": ("a SOCKS proxy is set, and the Python package PySocks is missing", True),
    "proxy address": ("the address of the proxy cannot be used", True),
    "proxy login": ("the proxy wants a user and a password, or other ones", True),
    "proxy refuses": ("the proxy refuses to connect to the server", True),
    "proxy fails": ("the proxy cannot connect to the server", False),
    "address": ("the address cannot be used", True),
    "dns": ("the name of {it} is not found", False),
    "refused": ("{it} refuses the connection", False),
    "no route": ("there is no route to {it}", False),
    "closed": ("{it} closed the connection", False),
    "connect time-out": ("the connection to {it} took too long", False),
    "time-out": ("{it} was silent for too long", False),
    "cut": ("the response was cut off", False),
    "undecodable": ("the response cannot be decompressed", False),
    "not http": ("{it} does not speak HTTP", False),
    "unknown": ("the connection failed", False),
}

_PROXY_FIELDS: dict[At, str] = {
    **dict.fromkeys(
        ("connection", "storage", "token"), "Extra proxies, or HTTPS_PROXY and NO_PROXY of the environment"
    ),
    "store": "HTTPS_PROXY and NO_PROXY of the environment, or the proxies of the state path's connection",
}
_HOST_FIELD: dict[At, str] = {
    "connection": "Host of the connection",
    "storage": "the way to Amplitude's storage",
    "token": "Extra oauth_host of the connection",
    "store": "the endpoint of the state path's connection (for S3 endpoint_url in Extra)",
}
_AUTHORITY_FIELDS: dict[At, str] = {
    **dict.fromkeys(
        ("connection", "storage", "token"),
        "Extra verify of the connection, or the environment variable REQUESTS_CA_BUNDLE,",
    ),
    "store": "the environment variable AWS_CA_BUNDLE (S3) or SSL_CERT_FILE (others)",
}
_CERTIFICATE_FIELD: dict[At, str] = {
    **dict.fromkeys(("connection", "storage", "token"), "Extra cert of the connection"),
    "store": "the client certificate of the state path's connection",
}

_ADVICE: dict[Kind, str] = {
    "issuer": "Set {authorities} to the file of the authority that signed it; a proxy that opens TLS has its own.",
    "name": "Check {host}: the certificate must have the name that is asked for.",
    "expired": "Have the certificate renewed; if it is valid, set the worker's clock.",
    "early": "Set the worker's clock; if it is right, have the certificate replaced.",
    "certificate": "Have the certificate replaced.",
    "authorities": "Set {authorities} to a file of authorities (PEM) that this worker has.",
    "own certificate": "Set {certificate} to a certificate and key that the server takes.",
    "own files": "Set {certificate} to the file of a certificate and the file of its key (PEM), on every worker.",
    "tls files": "Set {authorities} to a file (PEM) that this worker has; likewise {certificate}.",
    "plain": "Check scheme and port of {host}; a proxy's address mostly begins with http:// ({proxies}).",
    "old tls": "Have TLS 1.2 or newer enabled there; check {host} and {proxies}.",
    "tls ended": "Check {host} and {proxies}, and whether a client certificate is wanted ({certificate}).",
    "tls": "Check {host} and {proxies}.",
    "no package": "Install PySocks (pip install 'requests[socks]') on every worker, or set another proxy ({proxies}).",
    "proxy address": "Correct the proxy's address ({proxies}), e.g. http://proxy.example.com:3128.",
    "proxy login": "Put the proxy's user and password into its address ({proxies}).",
    "proxy refuses": "Have the proxy let this host through, or go past it ({proxies}).",
    "proxy fails": "Check the proxy ({proxies}).",
    "address": "Correct {host}.",
    "dns": "Check {host}, {proxies}, and the worker's DNS.",
    "refused": "Check {host}, its port, {proxies}, and firewalls.",
    "no route": "Check {host}, {proxies}, and the worker's network.",
    "closed": "Check scheme and port of {host}, {proxies}, and firewalls.",
    "connect time-out": "Check {host}, {proxies}, and firewalls.",
    "time-out": "Check {proxies}; if it is slow, raise its time-out.",
    "cut": "Check {proxies}.",
    "undecodable": "Check {proxies}.",
    "not http": "Check scheme and port of {host}.",
    "unknown": "Check {host}, {proxies}, and the worker's network.",
}


def find_fault(error: BaseException, at: At = "connection") -> NetworkFault | None:
    """Return the network fault behind an exception; ``None`` where its chain shows none.

    Args:
        error: As a library raised it, with its causes.
        at: Where the fields to change are.

    >>> import ssl
    >>> untrusted = ssl.SSLCertVerificationError(1, "for https://user:hush@host")
    >>> untrusted.verify_code = 20
    >>> find_fault(untrusted).reason
    'the server has a certificate of an issuer that is unknown here'
    >>> find_fault(untrusted).is_lasting, find_fault(ConnectionRefusedError(111, "")).is_lasting
    (True, False)
    """
    kind = find_kind(error)
    return None if kind is None else _fault(kind, "the proxy" if is_at_proxy(error) else "the server", at)


def read_fault(error: BaseException, at: At = "connection") -> NetworkFault:
    """Return the network fault behind an exception; an unknown one has the exception's class as its reason.

    >>> read_fault(ValueError("user:hush@proxy")).reason
    'the connection failed (ValueError)'
    """
    fault = find_fault(error, at)
    if fault is not None:
        return fault
    unknown = _fault("unknown", "the server", at)
    return replace(unknown, reason=f"{unknown.reason} ({type(error).__name__})")


def _fault(kind: Kind, it: str, at: At) -> NetworkFault:
    reason, is_lasting = _REASONS[kind]
    advice = _ADVICE[kind].format(
        host=_HOST_FIELD[at],
        proxies=_PROXY_FIELDS[at],
        authorities=_AUTHORITY_FIELDS[at],
        certificate=_CERTIFICATE_FIELD[at],
    )
    return NetworkFault(reason.format(it=it), advice, is_lasting)
