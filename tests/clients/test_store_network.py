"""A store that is not reached says why and what cures it, and is tried again only where that may help."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from clients.conftest import Root, file_system
from cryptography import x509
from fakes.certificates import Authority
from fakes.http10_proxy import Http10Proxy
from fakes.recording_server import RecordingServer, Told
from fakes.s3_server import KEY, SECRET
from s3fs import S3FileSystem

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fakes.s3_server import S3Server

NO_RETRIES = {"retries": {"max_attempts": 0}}
LISTING = Told(body=b"<ListBucketResult></ListBucketResult>")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what stops servers at the end."""
    with ExitStack() as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def listing(url: str, proxy: str | None = None, **options: Any) -> list[str]:
    """What a store at an endpoint lists, asked once."""
    config = {**NO_RETRIES, **({"proxies": {"https": proxy}} if proxy else {})}
    fs = file_system(url, config_kwargs=config, **options)
    # s3fs retries by itself, too.
    fs.retries = 1
    return LedgerStore(Root(fs, "bucket/state")).names("a")


@pytest.mark.parametrize(
    ("subject", "days", "is_trusted", "reason", "cure"),
    [
        (None, (-1, 1), False, "the server has a certificate of an issuer that is unknown here", "AWS_CA_BUNDLE"),
        ("elsewhere.example.com", (-1, 1), True, "the server has a certificate for another name", "endpoint_url"),
        (None, (-3, -1), True, "the certificate of the server has expired", "renewed"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_lasting(
    stack: ExitStack,
    authority: Authority,
    subject: str | None,
    days: tuple[int, int],
    reason: str,
    cure: str,
    *,
    is_trusted: bool,
) -> None:
    names = (x509.DNSName(subject),) if subject else ()
    certificate = authority.issue("store", *names, days=days)
    server = stack.enter_context(RecordingServer(LISTING, tls=authority.context(certificate)))

    with pytest.raises(StatePathError, match=f"cannot be used: {reason}") as failed:
        listing(server.url, client_kwargs={"verify": authority.file} if is_trusted else {})
    assert not failed.value.retryable
    assert cure in str(failed.value)


def test_the_authority_that_the_named_variable_holds_is_trusted(
    stack: ExitStack, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stack.enter_context(RecordingServer(LISTING, tls=authority.context(authority.issue("store"))))
    monkeypatch.setenv("AWS_CA_BUNDLE", authority.file)

    assert listing(server.url) == []


def test_https_at_a_port_of_http_and_a_proxys_login_are_lasting(stack: ExitStack) -> None:
    server = stack.enter_context(RecordingServer(Told(407)))

    with pytest.raises(StatePathError, match="the server does not answer in TLS") as plain:
        listing(server.url.replace("http:", "https:"))
    with pytest.raises(StatePathError, match="the proxy wants a user and a password") as login:
        listing("https://store.example.com", server.url.replace("://", "://user:hush@"))
    assert not plain.value.retryable
    assert not login.value.retryable
    assert "hush" not in str(login.value)


@pytest.mark.parametrize("via_proxy", [False, True])
def test_nothing_that_listens_may_pass(*, via_proxy: bool) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, proxy = f"http://127.0.0.1:{port}", f"http://user:hush@127.0.0.1:{port}"

    who = "the proxy" if via_proxy else "the server"
    with pytest.raises(StateUnavailableError, match=f"failed: {who} refuses the connection") as failed:
        listing("https://store.example.com" if via_proxy else url, proxy if via_proxy else None)
    assert failed.value.retryable
    assert "hush" not in str(failed.value)


def test_a_proxy_that_drops_every_length_is_named(s3_server: S3Server, root: Root, store: LedgerStore) -> None:
    store.put("a/plan-1.json", b"{}")
    with Http10Proxy(s3_server.url) as proxy:
        proxy.keeps_lengths_of_heads = False
        behind = LedgerStore(Root(file_system(proxy.url), root.path))

        with pytest.raises(StatePathError, match="may drop Content-Length") as failed:
            behind.get("a/plan-1.json")
    assert not failed.value.retryable


@pytest.mark.parametrize(
    ("options", "reason", "cure"),
    [
        ({"endpoint_url": "minio:9000"}, "the address of the endpoint cannot be used", "endpoint_url"),
        ({"endpoint_url": "minio.example.com"}, "the address of the endpoint cannot be used", "endpoint_url"),
        ({"endpoint_url": "http://minio:90000"}, "the address of the endpoint cannot be used", "endpoint_url"),
        ({"profile": "no-such-profile"}, "the profile that is named is not in", "profile_name"),
        ({"client_kwargs": {"region_name": "us east"}}, "the region is missing, or its name is none", "region_name"),
        (
            {"client_kwargs": {"endpoint_url": "https://127.0.0.1:9", "verify": "/gone.pem"}},
            "a file of trusted authorities or of a client certificate is missing",
            "AWS_CA_BUNDLE",
        ),
        (
            {"config_kwargs": {"proxies": {"https": "http://user:hush@127.0.0.1:99999"}}},
            "the address of the proxy cannot be used",
            "HTTPS_PROXY",
        ),
        (
            {"config_kwargs": {"retries": {"mode": "hush"}}},
            "the AWS library does not take one of its settings",
            "Extra",
        ),
    ],
    ids=str,
)
def test_a_setting_that_no_retry_cures_is_lasting_and_named(options: dict[str, Any], reason: str, cure: str) -> None:
    login = {} if "profile" in options else {"key": KEY, "secret": SECRET}
    endpoint = {"endpoint_url": "https://store.example.com"} if "config_kwargs" in options else {}
    fs = S3FileSystem(skip_instance_cache=True, **login, **endpoint, **options)
    fs.retries = 1

    with pytest.raises(StatePathError, match=f"cannot be used: {reason}") as failed:
        LedgerStore(Root(fs, "bucket/state")).names("a")
    assert not failed.value.retryable
    assert cure in failed.value.advice
    assert "hush" not in str(failed.value)
