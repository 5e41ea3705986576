"""A state path whose connection cannot be opened says why, and is tried again only where that may help."""

from __future__ import annotations

import io
import socket
from contextlib import ExitStack, redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest
from fakes.certificates import Authority
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.__main__ import main
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/x"
DENIED = (
    b'<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
    b"<Code>%b</Code><Message>hush</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what stops servers at the end."""
    with ExitStack() as running:
        yield running


def behind_role(connect: Callable[..., str], conn_id: str, url: str) -> str:
    """The state path of a connection whose role an STS at an address gives."""
    config = {"read_timeout": 0.2, "connect_timeout": 1, "retries": {"max_attempts": 0}}
    extra: dict[str, Any] = {"role_arn": ROLE, "region_name": "us-east-1", "config_kwargs": config}
    extra["service_config"] = {"sts": {"endpoint_url": url}}
    return f"s3://{connect(conn_id, conn_type='aws', login='key', password='hush', extra=extra)}@bucket/state"


def test_a_credentials_service_with_an_untrusted_certificate_is_lasting_and_not_a_missing_package(
    stack: ExitStack, tmp_path: Path, connect: Callable[..., str]
) -> None:
    authority = Authority(tmp_path)
    server = stack.enter_context(RecordingServer(tls=authority.context(authority.issue("sts"))))

    with pytest.raises(StatePathError, match="a certificate of an issuer that is unknown here") as failed:
        open_state_root(behind_role(connect, "sts_untrusted", server.url))
    assert not failed.value.retryable
    assert "AWS_CA_BUNDLE" in failed.value.advice


def test_a_credentials_service_that_is_silent_or_down_may_pass(connect: Callable[..., str]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(StateUnavailableError, match="the server was silent for too long"):
            open_state_root(behind_role(connect, "sts_silent", url))

    with pytest.raises(StateUnavailableError, match="the server refuses the connection") as failed:
        open_state_root(behind_role(connect, "sts_down", url))
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("status", "code", "is_transient"),
    [
        (403, "AccessDenied", False),
        (403, "ExpiredToken", True),
        (400, "Throttling", True),
        (500, "InternalFailure", True),
    ],
)
def test_what_a_credentials_service_answers_decides_whether_a_retry_may_help(
    stack: ExitStack, connect: Callable[..., str], status: int, code: str, *, is_transient: bool
) -> None:
    server = stack.enter_context(RecordingServer(CannedResponse(status, body=DENIED % code.encode())))

    with pytest.raises(StatePathError, match=f"{code}, HTTP {status}, while the connection") as failed:
        open_state_root(behind_role(connect, f"sts_{code.lower()}", server.url))
    assert failed.value.retryable is is_transient
    assert "hush" not in str(failed.value)
    assert "Check the credentials and the role" in failed.value.advice


FIELDS: list[tuple[str, dict[str, Any], str]] = [
    (
        "no_profile",
        {"profile_name": "unknown-profile"},
        "the AWS configuration of this worker does not have the profile",
    ),
    ("method", {"role_arn": ROLE, "assume_role_method": "hush"}, "a field cannot be used .NotImplementedError"),
    ("kind", {"config_kwargs": {"retries": "hush"}}, "a field cannot be used .AttributeError"),
    ("unknown", {"config_kwargs": {"hush": 1}}, "a field cannot be used .TypeError"),
    (
        "federation",
        {"role_arn": ROLE, "assume_role_method": "assume_role_with_web_identity"},
        "a field cannot be used .AirflowException",
    ),
    (
        "sts_address",
        {"role_arn": ROLE, "service_config": {"sts": {"endpoint_url": "sts.example.com"}}},
        "the address of the endpoint cannot be used",
    ),
]


@pytest.mark.parametrize(("conn_id", "extra", "reason"), FIELDS, ids=[field[0] for field in FIELDS])
def test_a_field_of_the_connection_that_cannot_be_used_is_lasting(
    connect: Callable[..., str], conn_id: str, extra: dict[str, Any], reason: str
) -> None:
    login = {} if "profile_name" in extra else {"login": "key", "password": "hush"}
    connect(conn_id, conn_type="aws", extra={"region_name": "us-east-1", **extra}, **login)

    with pytest.raises(StatePathError, match=f"cannot be used: {reason}") as failed:
        open_state_root(f"s3://{conn_id}@bucket/state")
    assert not failed.value.retryable
    assert "while the connection that it names was opened" in failed.value.reason
    assert "hush" not in str(failed.value)


def test_a_scheme_that_no_file_system_has_is_a_missing_package() -> None:
    with pytest.raises(StatePathError, match="no file system is installed for gs://"):
        open_state_root("gs://bucket/state")


def test_a_shell_command_says_so_in_a_sentence_and_ends_with_one(connect: Callable[..., str]) -> None:
    connect("cli_profile", conn_type="aws", extra={"profile_name": "unknown-profile"})

    with redirect_stderr(io.StringIO()) as said:
        assert main(["--state-path", "s3://cli_profile@bucket/state", "list"]) == 1
    assert "the AWS configuration of this worker does not have the profile" in said.getvalue()
    assert "retr" not in said.getvalue(), "Airflow does not run a command"
