"""Clients over real sockets, as a hook would make them, that do not really wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fakes.s3_server import KEY, SECRET, S3Server
from requests.auth import HTTPBasicAuth
from s3fs import S3FileSystem

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Waits:
    """The waits a client asked for; none is really waited."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        """Remember a wait."""
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    """Return what remembers the waits."""
    return Waits()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox with one cohort of two users and an anonymous one."""
    cohort = SandboxCohort("26umsb5", "Power Users", ["ann", "bob"], anonymous=1)
    with Sandbox.start(cohorts=[cohort]) as running:
        yield running


def amplitude_client(url: str, waits: Waits, *, login: str = "", password: str = "") -> AmplitudeClient:
    """Return a client with these credentials."""
    session = requests.Session()
    session.auth = HTTPBasicAuth(login, password)
    storage_session = requests.Session()
    storage_session.auth = lambda request: request
    return AmplitudeClient(session, storage_session, url, 5, sleep=waits, random=lambda: 0.5)


@pytest.fixture
def amplitude(sandbox: Sandbox, waits: Waits) -> Iterator[AmplitudeClient]:
    """Return a client of the sandbox's project."""
    project = sandbox.amplitude
    client = amplitude_client(sandbox.url, waits, login=project.api_key, password=project.secret_key)
    yield client
    client.close()


@pytest.fixture
def segment(sandbox: Sandbox) -> Iterator[SegmentClient]:
    """Return a client of the sandbox's default source."""
    session = requests.Session()
    session.auth = HTTPBasicAuth(WRITE_KEY_DEFAULT, "")
    client = SegmentClient(session, sandbox.url, 2)
    yield client
    client.close()


@dataclass
class Root:
    """What LedgerStore needs of an ObjectStoragePath."""

    fs: Any
    path: str

    def __str__(self) -> str:
        """Return its URL."""
        return f"s3://ledger@{self.path}"


def file_system(url: str, **options: Any) -> S3FileSystem:
    """Return a file system of its own, as another process has one, that caches as it likes."""
    return S3FileSystem(key=KEY, secret=SECRET, endpoint_url=url, skip_instance_cache=True, **options)


@pytest.fixture(scope="session")
def shared_file_system(s3_server: S3Server) -> S3FileSystem:
    """Return the file system that tests share as tasks of a process do: to make one takes longer than most tests."""
    return file_system(s3_server.url)


@pytest.fixture
def root(shared_file_system: S3FileSystem, bucket: str) -> Root:
    """Return where a store is on S3."""
    return Root(shared_file_system, f"{bucket}/state")


@pytest.fixture
def store(root: Root) -> LedgerStore:
    """Return a store on S3."""
    return LedgerStore(root)
