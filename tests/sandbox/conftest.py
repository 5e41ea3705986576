"""A running sandbox, and two thin clients that send exactly what a test says."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Clock:
    """Epoch seconds that pass only when a test says so."""

    now: float = 1_795_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass
class AmplitudeClient:
    """Amplitude's four calls, one request each; nothing is followed or retried."""

    sandbox: Sandbox
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Ask with the project's credentials."""
        credentials = (self.sandbox.amplitude.api_key, self.sandbox.amplitude.secret_key)
        options = {"auth": credentials, "allow_redirects": False, "timeout": 20, **options}
        return self.session.get(self.sandbox.url + path, **options)

    def request(self, cohort_id: str = "26umsb5", query: str = "") -> requests.Response:
        """Request an export."""
        return self.get(f"/api/5/cohorts/request/{cohort_id}{query}")

    def status(self, request_id: str) -> requests.Response:
        """Poll once."""
        return self.get(f"/api/5/cohorts/request-status/{request_id}")

    def file(self, request_id: str) -> requests.Response:
        """Ask for the file."""
        return self.get(f"/api/5/cohorts/request/{request_id}/file")

    def complete(self, cohort_id: str = "26umsb5", query: str = "") -> str:
        """Request an export, poll until it is complete and give its ID."""
        request_id: str = self.request(cohort_id, query).json()["request_id"]
        while self.status(request_id).status_code == 202:
            pass
        return request_id


def basic(text: str) -> str:
    """Make a Basic header of any text."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@dataclass
class SegmentClient:
    """Segment's batch call, one request each."""

    sandbox: Sandbox
    session: requests.Session = field(default_factory=requests.Session)

    def post(self, body: bytes, write_key: str = WRITE_KEY_DEFAULT, **headers: str) -> requests.Response:
        """Send bytes."""
        sent = {"Authorization": basic(f"{write_key}:"), "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.post(self.sandbox.url + "/v1/batch", data=body, headers=sent, timeout=20)

    def send(self, *messages: Any, write_key: str = WRITE_KEY_DEFAULT, **fields: Any) -> requests.Response:
        """Send messages in one batch."""
        return self.post(json.dumps({"batch": messages, **fields}).encode(), write_key)

    def send_gzip(self, body: bytes) -> requests.Response:
        """Send bytes compressed."""
        return self.post(gzip.compress(body), Content_Encoding="gzip")


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """A sandbox with one small cohort."""
    cohorts = [SandboxCohort("26umsb5", "Power users", ["ann", "bob", "007"])]
    with Sandbox.start(cohorts=cohorts, clock=clock, keep_messages=True) as running:
        yield running


@pytest.fixture
def amplitude(sandbox: Sandbox) -> Iterator[AmplitudeClient]:
    """A client with the right credentials."""
    client = AmplitudeClient(sandbox)
    yield client
    client.session.close()


@pytest.fixture
def segment(sandbox: Sandbox) -> Iterator[SegmentClient]:
    """A client of the source ``segment_default``."""
    client = SegmentClient(sandbox)
    yield client
    client.session.close()
