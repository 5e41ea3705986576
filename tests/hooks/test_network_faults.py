"""Where no response comes, the error says why and which field cures it, and is retried only where that may help."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from fakes.certificates import Authority
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.core.delivery.response import Unreachable
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import AmplitudeUnavailableError, AmplitudeUnreachableError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ELSEWHERE = "http://server.example.com"


@dataclass
class Way:
    """A way that leads to no response: what a connection says of it."""

    host: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Ways:
    """Makes such ways, each with servers of its own."""

    folder: Path
    stack: ExitStack

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder)

    def tls(self, certificate: Path, *, wants_client: bool = False) -> str:
        context = self.authority.context(certificate, wants_client=wants_client)
        return self.stack.enter_context(RecordingServer(CannedResponse(body=b"{}"), tls=context)).url

    def trusted(self, certificate: Path, **more: Any) -> Way:
        return Way(self.tls(certificate), {"verify": self.authority.file, **more})

    def answering(self, response: CannedResponse) -> str:
        return self.stack.enter_context(RecordingServer(response)).url

    def closing(self, said: bytes = b"") -> int:
        """A port whose every connection is closed after these bytes."""
        listener = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted:
                    accepted.recv(65_536)
                    accepted.sendall(said)
                    # What is left unread resets the connection, and the client may miss what was said.
                    accepted.shutdown(socket.SHUT_WR)
                    while said and accepted.recv(65_536):
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    def silent(self) -> int:
        return int(self.stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1])

    def free(self) -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return int(free.getsockname()[1])

    def garbage(self) -> str:
        file = self.folder / "garbage.pem"
        file.write_text("no PEM\n")
        return str(file)


@pytest.fixture
def ways(tmp_path: Path) -> Iterator[Ways]:
    """Return what makes ways, and stop its servers at the end."""
    with ExitStack() as stack:
        yield Ways(tmp_path, stack)


def through(proxy: str, host: str = "https://server.example.com") -> Way:
    return Way(host, {"proxies": {"http": proxy, "https": proxy}})


def with_password(url: str) -> str:
    return url.replace("://", "://user:hush@")


LASTING: dict[str, tuple[Callable[[Ways], Way], str, str]] = {
    "a private authority": (
        lambda ways: Way(ways.tls(ways.authority.issue("server"))),
        "the server has a certificate of an issuer that is unknown here",
        "Extra verify of the connection, or the environment variable REQUESTS_CA_BUNDLE",
    ),
    "another name": (
        lambda ways: ways.trusted(ways.authority.issue("server", x509.DNSName("elsewhere.example.com"))),
        "the server has a certificate for another name",
        "Host of the connection",
    ),
    "an expired certificate": (
        lambda ways: ways.trusted(ways.authority.issue("server", days=(-3, -1))),
        "the certificate of the server has expired",
        "Have the certificate renewed",
    ),
    "a certificate of tomorrow": (
        lambda ways: ways.trusted(ways.authority.issue("server", days=(1, 3))),
        "the certificate of the server is not valid yet",
        "worker's clock",
    ),
    "a client certificate that is wanted": (
        lambda ways: Way(ways.tls(ways.authority.issue("server"), wants_client=True), {"verify": ways.authority.file}),
        "the server refuses the client certificate, or wants one",
        "Extra cert",
    ),
    "a client certificate that is none": (
        lambda ways: ways.trusted(ways.authority.issue("server"), cert=ways.garbage()),
        "the files of the client certificate cannot be used",
        "Extra cert",
    ),
    "a client certificate with another one's key": (
        lambda ways: ways.trusted(
            ways.authority.issue("server"), cert=[str(ways.authority.issue("a")), str(ways.authority.issue("b"))]
        ),
        "the files of the client certificate cannot be used",
        "Extra cert",
    ),
    "a file of authorities that holds none": (
        lambda ways: Way(ways.tls(ways.authority.issue("server")), {"verify": ways.garbage()}),
        "the file of trusted authorities is missing or holds none",
        "Extra verify",
    ),
    "https at a port of http": (
        lambda ways: Way(ways.answering(CannedResponse()).replace("http:", "https:")),
        "the server does not speak TLS",
        "scheme and port of Host",
    ),
    "https at a proxy of http": (
        lambda ways: through(with_password(ways.answering(CannedResponse())).replace("http:", "https:")),
        "the proxy does not speak TLS",
        "Extra proxies",
    ),
    "a proxy of a private authority": (
        lambda ways: through(with_password(ways.tls(ways.authority.issue("proxy")))),
        "the proxy has a certificate of an issuer that is unknown here",
        "REQUESTS_CA_BUNDLE",
    ),
    "a proxy that wants a login": (
        lambda ways: through(with_password(ways.answering(CannedResponse(407)))),
        "the proxy wants a user and a password, or other ones",
        "Extra proxies",
    ),
    "a proxy that wants a login for http": (
        lambda ways: through(with_password(ways.answering(CannedResponse(407))), ELSEWHERE),
        "the proxy wants a user and a password, or other ones",
        "Extra proxies",
    ),
    "a proxy that refuses": (
        lambda ways: through(with_password(ways.answering(CannedResponse(403)))),
        "the proxy refuses to connect to the server",
        "NO_PROXY",
    ),
}

TRANSIENT: dict[str, tuple[Callable[[Ways], Way], str, str]] = {
    "nothing listens": (
        lambda ways: Way(f"http://127.0.0.1:{ways.free()}"),
        "the server refuses the connection",
        "Host of the connection",
    ),
    "no proxy listens": (
        lambda ways: through(f"http://user:hush@127.0.0.1:{ways.free()}"),
        "the proxy refuses the connection",
        "Extra proxies",
    ),
    "a proxy that does not get there": (
        lambda ways: through(with_password(ways.answering(CannedResponse(502)))),
        "the proxy cannot connect to the server",
        "Check the proxy",
    ),
    "a server that says nothing": (
        lambda ways: Way(f"http://127.0.0.1:{ways.silent()}", {"timeout": 0.2}),
        "the server was silent for too long",
        "time-out",
    ),
    "a server that closes at once": (
        lambda ways: Way(f"http://127.0.0.1:{ways.closing()}"),
        "the server closed the connection",
        "firewalls",
    ),
    "a server that closes during the handshake": (
        lambda ways: Way(f"https://127.0.0.1:{ways.closing()}"),
        "the server closed the connection during the TLS handshake",
        "client certificate",
    ),
    "a server that speaks something else": (
        lambda ways: Way(f"http://127.0.0.1:{ways.closing(b'220 mail.example.com')}"),
        "the server does not speak HTTP",
        "scheme and port",
    ),
    "a response that is cut": (
        lambda ways: Way(ways.answering(CannedResponse(body=b"{", content_length=9))),
        "the response was cut off",
        "Extra proxies",
    ),
}


def amplitude(connect: Callable[..., str], way: Way) -> AmplitudeHook:
    fields = {"login": "api-key-0123", "password": "secret-key-4567", "host": way.host, "extra": way.extra}
    return AmplitudeHook(connect("a", conn_type="amplitude", **fields))


def segment(connect: Callable[..., str], way: Way) -> SegmentHook:
    return SegmentHook(connect("s", conn_type="segmentio", password="write-key-0123", host=way.host, extra=way.extra))


def hides(text: str) -> bool:
    return not any(secret in text for secret in ("hush", "key-0123", "key-4567", "Error", "Max retries"))


@pytest.mark.parametrize(("lead", "reason", "cure"), LASTING.values(), ids=LASTING.keys())
def test_what_no_retry_cures_is_told_with_its_cure_and_not_retried(
    connect: Callable[..., str], ways: Ways, lead: Callable[[Ways], Way], reason: str, cure: str
) -> None:
    way = lead(ways)

    with pytest.raises(AmplitudeUnreachableError) as failed:
        amplitude(connect, way).get_conn().list_cohorts()
    assert not failed.value.retryable
    assert failed.value.reason == reason
    assert cure in str(failed.value)
    assert "status page" not in str(failed.value)
    assert hides(str(failed.value))

    response = segment(connect, way).get_conn().post_batch(b"{}")
    assert response == Unreachable(reason)
    assert isinstance(response, Unreachable)
    assert cure in response.advice


@pytest.mark.parametrize(("lead", "reason", "cure"), TRANSIENT.values(), ids=TRANSIENT.keys())
def test_what_may_pass_is_told_by_its_reason_and_can_be_retried(
    connect: Callable[..., str], ways: Ways, lead: Callable[[Ways], Way], reason: str, cure: str
) -> None:
    way = lead(ways)

    with pytest.raises(AmplitudeUnavailableError) as failed:
        amplitude(connect, way).get_conn().list_cohorts(retries=0)
    assert failed.value.retryable
    assert failed.value.reason == reason
    assert cure in str(failed.value)
    assert hides(str(failed.value))

    response = segment(connect, way).get_conn().post_batch(b"{}")
    assert response == RetryLater(None, None, reason)
    assert isinstance(response, RetryLater)
    assert cure in response.advice


@pytest.mark.parametrize("name", ["a private authority", "an expired certificate", "a proxy that wants a login"])
def test_the_test_button_says_why_nothing_came_and_what_cures_it(
    connect: Callable[..., str], ways: Ways, name: str
) -> None:
    lead, reason, cure = LASTING[name]
    way = lead(ways)
    for hook in (amplitude(connect, way), segment(connect, way)):
        works, sentence = hook.test_connection()
        assert not works
        assert sentence.startswith(f"Not reached: no response from {way.host} (data region US): {reason}.")
        assert cure in sentence
        assert hides(sentence)


def test_a_file_of_authorities_that_the_environment_names_and_nobody_has_is_told(
    connect: Callable[..., str], ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/authorities.pem")
    way = Way(ways.tls(ways.authority.issue("server")))

    with pytest.raises(AmplitudeUnreachableError, match="REQUESTS_CA_BUNDLE") as failed:
        amplitude(connect, way).get_conn().list_cohorts()
    assert failed.value.reason == "the file of trusted authorities is missing or holds none"


def test_an_export_that_no_connection_came_about_for_is_not_spent(connect: Callable[..., str], ways: Ways) -> None:
    client = amplitude(connect, LASTING["a private authority"][0](ways)).get_conn()

    with pytest.raises(AmplitudeUnreachableError, match=r"unknown here\. .*No export was spent"):
        client.request_export("26umsb5")
    with pytest.raises(AmplitudeUnreachableError):
        client.export_status("qfaZya")
    assert client.usage() is None


def test_storage_that_is_not_trusted_is_named_and_not_asked_again(
    connect: Callable[..., str], ways: Ways, tmp_path: Path
) -> None:
    storage = ways.tls(ways.authority.issue("storage"))
    way = Way(ways.answering(CannedResponse(302, {"Location": f"{storage}/x.csv?sig=hush"})))

    with pytest.raises(AmplitudeUnreachableError, match="from Amplitude's storage: no connection") as failed:
        amplitude(connect, way).get_conn().download("qfaZya", tmp_path / "export")
    assert hides(str(failed.value))
