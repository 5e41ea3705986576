"""Run the sandbox: Amplitude and Segment on one loopback port, in one thread."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.applications import Starlette

from airflow_provider_amplitude_segment.sandbox.amplitude import SandboxAmplitude
from airflow_provider_amplitude_segment.sandbox.amplitude_api import AmplitudeApi
from airflow_provider_amplitude_segment.sandbox.cohort_files import CohortFiles
from airflow_provider_amplitude_segment.sandbox.cohort_files_api import CohortFilesApi
from airflow_provider_amplitude_segment.sandbox.comparison import compare
from airflow_provider_amplitude_segment.sandbox.dated_app import DatedApp
from airflow_provider_amplitude_segment.sandbox.faults import Faults
from airflow_provider_amplitude_segment.sandbox.faulty_app import Connections, FaultyApp
from airflow_provider_amplitude_segment.sandbox.file_schedule import FileSchedule
from airflow_provider_amplitude_segment.sandbox.oauth_api import OAuthApi
from airflow_provider_amplitude_segment.sandbox.page import Page
from airflow_provider_amplitude_segment.sandbox.profile_api import ProfileApi
from airflow_provider_amplitude_segment.sandbox.public_api import PublicApi
from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment
from airflow_provider_amplitude_segment.sandbox.segment_api import SegmentApi
from airflow_provider_amplitude_segment.sandbox.sources import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from starlette.routing import BaseRoute

    from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.comparison import Comparison

START_SECONDS = 20


class Sandbox:
    """A stand-in Amplitude and Segment on loopback; ``Sandbox.start`` makes one.

    Its data is only in memory.
    """

    def __init__(self, cohorts: Iterable[SandboxCohort], *, clock: Callable[[], float], keep_messages: bool) -> None:
        self.amplitude = SandboxAmplitude(cohorts, clock=clock)
        self.segment = SandboxSegment(clock=clock, keep_messages=keep_messages)
        self.cohort_files = CohortFiles(self.amplitude, clock=clock)
        self.faults = Faults()
        self._clock = clock
        self.url = ""
        self._cohorts_at_start = _copied(self.amplitude.cohorts)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._schedule: FileSchedule | None = None

    @classmethod
    def start(
        cls,
        cohorts: Iterable[SandboxCohort] = (),
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
        keep_messages: bool = False,
    ) -> Self:
        """Serve in a daemon thread of this process; return when the sandbox is ready.

        Args:
            cohorts: Amplitude's cohorts; add more to ``sandbox.amplitude.cohorts`` at any time.
            port: 0 chooses a free port.
            host: a loopback address.
            clock: epoch seconds, for the month, the rate limits and the age of links.
            keep_messages: keep every message whole, for ``segment.messages_by_id``.

        Raises:
            ValueError: the host is not a loopback address.
            OSError: the port is in use.
        """
        sandbox = cls(cohorts, clock=clock, keep_messages=keep_messages)
        sandbox._serve(_loopback(host), port)
        return sandbox

    def stop(self) -> None:
        """Stop serving and free the port; a second call does nothing. The data can still be read."""
        if self._schedule is not None:
            self._schedule.stop()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(START_SECONDS)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = self._schedule = None

    def write_files_every(self, seconds: float) -> None:
        """Write the files of all cohorts to the place of ``cohort_files`` now, and each so many seconds from now on.

        Raises:
            ValueError: the seconds are not positive.
        """
        if seconds <= 0:
            raise ValueError(f"write_files_every({seconds}): takes seconds above 0")
        if self._schedule is not None:
            self._schedule.stop()
        self._schedule = FileSchedule(self.cohort_files, seconds)
        self._schedule.start()

    def __enter__(self) -> Self:
        """Return the running sandbox."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the sandbox."""
        self.stop()

    def airflow_connections(self, *, proved: bool = False) -> dict[str, str]:
        """Return Airflow's connections to this sandbox, as environment variables with JSON.

        Args:
            proved: name the connection of the Public API in those of the write keys, so that a sync proves its key.
        """
        amplitude = {
            "conn_type": "amplitude",
            "login": self.amplitude.api_key,
            "password": self.amplitude.secret_key,
            "host": self.url,
        }
        segment: dict[str, Any] = {"conn_type": "segmentio", "host": self.url}
        if proved:
            segment["extra"] = {"api_conn_id": "segment_api_default"}
        profiles = self.segment.profile_api
        api = {
            "conn_type": "segmentapi",
            "host": f"{self.url}/public-api",
            "password": self.segment.public_api.token,
            "extra": {
                "space_id": profiles.space_id,
                "profile_api_token": profiles.token,
                "profile_host": f"{self.url}/profile-api",
            },
        }
        return {
            "AIRFLOW_CONN_AMPLITUDE_DEFAULT": json.dumps(amplitude),
            "AIRFLOW_CONN_SEGMENT_DEFAULT": json.dumps({**segment, "password": WRITE_KEY_DEFAULT}),
            "AIRFLOW_CONN_SEGMENT_EMEA": json.dumps({**segment, "password": WRITE_KEY_EMEA}),
            "AIRFLOW_CONN_SEGMENT_API_DEFAULT": json.dumps(api),
        }

    def compare(self, cohort_id: str, *, write_key: str = WRITE_KEY_DEFAULT, trait: str | None = None) -> Comparison:
        """Compare what a Segment source believes with a cohort's current members.

        Args:
            cohort_id: the cohort.
            write_key: the source.
            trait: by default Amplitude's own form, ``<cohort name> (<cohort ID>)``, with the current name.

        Raises:
            KeyError: no such cohort.
        """
        return compare(self.amplitude.cohorts[cohort_id], self.segment, write_key=write_key, trait=trait)

    def reset(self) -> None:
        """Restore the cohorts of the start, and delete all exports, Segment's data and the faults.

        Cohort files stay where they are, and the next set of a cohort is like its first.
        """
        self.amplitude.cohorts.clear()
        self.amplitude.cohorts.update(_copied(self._cohorts_at_start))
        self.amplitude.forget()
        self.cohort_files.forget()
        self.segment.reset()
        self.faults.clear()

    def _routes(self) -> list[BaseRoute]:
        return [
            *AmplitudeApi(self.amplitude).routes(),
            *SegmentApi(self.segment).routes(),
            *PublicApi(self.segment, self._clock).routes(),
            *ProfileApi(self.segment, self._clock).routes(),
            *OAuthApi(self.segment).routes(),
            *CohortFilesApi(self.cohort_files).routes(),
            *Page(self).routes(),
        ]

    def _serve(self, host: str, port: int) -> None:
        # The protocol is named, because asyncio turns Nagle's algorithm off only then; else a response takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        connections = Connections()
        app = DatedApp(FaultyApp(Starlette(routes=self._routes()), self.faults, connections), self._clock)
        self._server = uvicorn.Server(uvicorn.Config(app, http=connections.protocol(), **_SETTINGS))
        run = self._server.run
        sockets = [self._socket]
        self._thread = threading.Thread(target=lambda: run(sockets=sockets), name="amplitude-segment-sandbox")
        self._thread.daemon = True
        self._thread.start()
        self._wait_until_started(self._server, self._thread)

    def _wait_until_started(self, server: uvicorn.Server, thread: threading.Thread) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.005)


_SETTINGS: dict[str, Any] = {
    "loop": "asyncio",
    "ws": "none",
    "lifespan": "off",
    "proxy_headers": False,
    "server_header": False,
    "date_header": False,
    "access_log": False,
    "log_config": None,  # keeps the host process's logging
    "log_level": "critical",
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 1,
}


def _copied(cohorts: dict[str, SandboxCohort]) -> dict[str, SandboxCohort]:
    return {cohort_id: replace(cohort, user_ids=list(cohort.user_ids)) for cohort_id, cohort in cohorts.items()}


def _loopback(host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(f"{host!r} is not an IPv4 loopback address: the sandbox serves this machine only")
    return address
