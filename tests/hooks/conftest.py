"""Connections as environment variables, a sandbox behind them, and a server with a certificate of its own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what makes an Airflow connection and returns its ID."""

    def make(conn_id: str, **fields: Any) -> str:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return make


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox with a few cohorts, and Airflow's connections to it."""
    cohorts = [
        SandboxCohort("26umsb5", "Power Users", ["ann", "bob"]),
        SandboxCohort("7khm89cz", "[Test] Power Users", ["cyd"]),
        SandboxCohort("9apg8e8f", "Power Users of old", archived=True),
        SandboxCohort("1grp0up1", "Power Accounts", ["acme"], group_type="Account"),
    ]
    with Sandbox.start(cohorts=cohorts) as running:
        for name, connection in running.airflow_connections().items():
            monkeypatch.setenv(name, connection)
        yield running


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[RecordingServer, Path]]:
    """Run a server with a self-signed certificate; its authority is the file beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, tmp_path / "key.pem")
    with RecordingServer(CannedResponse(body=b'{"success": true}'), tls=context) as server:
        yield server, authority
