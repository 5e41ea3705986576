"""Errors of Google's, Azure's and Amazon's libraries, none of which core imports, are distinguished by their names."""

import socket
from types import SimpleNamespace

import pytest

from airflow_provider_amplitude_segment.core.ledger.store_fault import find_store_fault


def named(name: str, **attributes: object) -> Exception:
    """Return an exception of a class that is only called so."""
    kind = type(name, (Exception,), attributes)
    error: Exception = kind("hush")
    return error


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NoCredentialsError", "no credentials are found"),
        ("DefaultCredentialsError", "no credentials are found"),
        ("CredentialUnavailableError", "no credentials are found"),
        ("PartialCredentialsError", "a part of the credentials is missing"),
        ("RefreshError", "the credentials are refused"),
        ("ClientAuthenticationError", "the credentials are refused"),
        ("UnauthorizedSSOTokenError", "the login behind the credentials has ended, or needs a person"),
        ("NoRegionError", "the region is missing, or has no valid name"),
    ],
)
def test_credentials_and_settings_that_do_not_do_are_lasting(name: str, reason: str) -> None:
    fault = find_store_fault(named(name))

    assert fault is not None
    assert (fault.reason, fault.is_lasting) == (reason, True)
    assert "hush" not in fault.advice


def test_the_library_that_wraps_an_error_hides_nothing() -> None:
    wrapped = RuntimeError("failed")
    wrapped.__cause__ = named("DefaultCredentialsError")

    fault = find_store_fault(wrapped)
    assert fault is not None
    assert fault.reason == "no credentials are found"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (named("RefreshError", retryable=True), None),
        (named("CredentialRetrievalError"), None),
        (named("RefreshError"), TimeoutError()),
        (named("ClientAuthenticationError"), ConnectionRefusedError(111, "")),
    ],
    ids=repr,
)
def test_credentials_that_could_not_be_fetched_just_now_may_pass(error: Exception, cause: BaseException | None) -> None:
    error.__cause__ = cause

    fault = find_store_fault(error)
    assert fault is not None
    assert not fault.is_lasting


@pytest.mark.parametrize(
    "asked",
    [
        named("ClientConnectorDNSError", host="socks5"),
        named("NameResolutionError", conn=SimpleNamespace(host="socks5h")),
    ],
    ids=["aiohttp", "urllib3"],
)
def test_a_socks_proxy_that_a_library_takes_for_a_host_is_an_address_that_cannot_be_used(asked: Exception) -> None:
    """Neither the proxy nor the server was asked: the name that is not found is the scheme's."""
    asked.__cause__ = socket.gaierror(-2, "Name or service not known")

    fault = find_store_fault(asked)
    assert fault is not None
    assert (fault.reason, fault.is_lasting) == ("the address of the proxy cannot be used", True)
    assert "HTTPS_PROXY" in fault.advice
