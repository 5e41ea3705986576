"""A session keeps to its connection: TLS, proxies and authentication, and nothing else of Extra."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged, Unreachable
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint
from airflow_provider_amplitude_segment.hooks.connection.session import open_session, sign_nothing
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.core.delivery.response import Response

KEY = "write-key-0123456789"
SENT = {
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "user-agent",
}


def post(connect: Callable[..., str], host: str, **extra: object) -> Response:
    """Post a batch over a connection with this Extra."""
    connect("s", conn_type="segmentio", password=KEY, host=host, extra=extra)
    return SegmentHook("s").get_conn().post_batch(b"{}")


def test_nothing_of_extra_reaches_a_header(connect: Callable[..., str]) -> None:
    """Neither a field of the form, nor an option of HttpHook, nor an unknown one."""
    with RecordingServer(CannedResponse(body=b'{"success": true}')) as server:
        response = post(
            connect,
            server.url,
            region="US",
            destination_id="crm",
            timeout=5,
            headers={"X-A": "b"},
            api_secret="hush-hush",
            note="x",
            trust_env=True,
            stream=True,
            srv_lookup=True,
            check_response=False,
            max_redirects=3,
        )
        (came,) = server.came
    assert response == Acknowledged()
    assert set(came.headers) == SENT
    assert came.headers["user-agent"].startswith("airflow-provider-amplitude-segment/")


def test_requests_share_a_connection_and_no_cookie(connect: Callable[..., str]) -> None:
    """What a server sets is not sent back."""
    with RecordingServer(CannedResponse(headers={"Set-Cookie": "a=b"}, body=b'{"success": true}')) as server:
        connect("s", conn_type="segmentio", password=KEY, host=server.url)
        client = SegmentHook("s").get_conn()
        client.post_batch(b"{}")
        client.post_batch(b"{}")
        assert "cookie" not in server.came[1].headers


def test_an_unknown_certificate_is_refused(
    connect: Callable[..., str], tls_server: tuple[RecordingServer, Path]
) -> None:
    """TLS is verified unless the connection says otherwise; no retry makes it trusted."""
    server, _ = tls_server
    assert post(connect, server.url) == Unreachable("the server has a certificate of an issuer that is unknown here")
    assert server.came == []


@pytest.mark.parametrize("verify", [False, "false"])
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verify_false_is_obeyed_and_warned_of(
    connect: Callable[..., str],
    tls_server: tuple[RecordingServer, Path],
    caplog: pytest.LogCaptureFixture,
    verify: object,
) -> None:
    """Each time, also where the connection is a URI and all of Extra is text."""
    server, _ = tls_server
    assert post(connect, server.url, verify=verify) == Acknowledged()
    assert "NOT verified" in caplog.text
    assert KEY not in caplog.text


def test_a_connections_authority_goes_before_the_environments(
    connect: Callable[..., str], tls_server: tuple[RecordingServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which requests by itself would have the other way round."""
    server, authority = tls_server
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
    assert post(connect, server.url, verify=str(authority)) == Acknowledged()


def test_the_environments_authority_is_used_where_a_connection_has_none(
    connect: Callable[..., str], tls_server: tuple[RecordingServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the connection trusts no environment."""
    server, authority = tls_server
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    assert post(connect, server.url) == Acknowledged()
    assert isinstance(post(connect, server.url, trust_env=False), Unreachable)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_connections_proxy_goes_before_the_environments(
    connect: Callable[..., str], monkeypatch: pytest.MonkeyPatch, *, as_text: bool
) -> None:
    """An object by scheme, or one address for all."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with RecordingServer(CannedResponse(body=b'{"success": true}')) as proxy:
        proxies = proxy.url if as_text else {"http": proxy.url}
        assert post(connect, "http://segment.example.com", proxies=proxies) == Acknowledged()
        (came,) = proxy.came
    assert came.path == "http://segment.example.com/v1/batch"


def test_a_way_that_is_not_encrypted_is_warned_of(
    connect: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """Everyone on it can read the key; this machine is no way."""
    connect("s", conn_type="segmentio", password=KEY, host="http://segment.example.com")
    SegmentHook("s").get_conn()
    assert "NOT encrypted" in caplog.text
    caplog.clear()
    connect("s", conn_type="segmentio", password=KEY, host="http://127.0.0.1:8080")
    SegmentHook("s").get_conn()
    assert "NOT encrypted" not in caplog.text


def test_a_client_certificate_is_amplitudes_alone(connect: Callable[..., str], tmp_path: Path) -> None:
    """Storage is not shown it."""
    files = [str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")]
    for file in files:
        Path(file).touch()
    connect("a", conn_type="amplitude", login="k", password="w", extra={"cert": files})
    client = AmplitudeHook("a").get_conn()
    assert client._session.cert == tuple(files)
    assert client._storage_session.cert is None


def test_a_proxys_password_does_not_show() -> None:
    """Not in what an endpoint shows of itself."""
    endpoint = Endpoint("s", "US", "https://api.segment.io", proxies={"https": "http://user:hush@proxy:3128"})
    assert "hush" not in repr(endpoint)
    assert open_session(endpoint, sign_nothing).proxies == {"https": "http://user:hush@proxy:3128"}
