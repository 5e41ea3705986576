"""An attempt: one try of one run, in a thread of its own, so that it can be paused while others are at work."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import requests
from fakes.engine import shared_engine
from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.ports import SyncPorts
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.core.sync import CohortSync
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, RejectedUsersError
from faults.faulty_store import FaultyStore
from faults.process import Killed, Process, TimedOut
from faults.virtual_time import ProcessClock
from faults.wire import Wire

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from faults.process import Accident
    from faults.world import World

_TIMEOUT_SECONDS = 5.0
_LONGEST_SECONDS = 60.0


class Attempt:
    """One try. ``outcome`` is what it returned or raised; ``None`` while it is paused."""

    def __init__(
        self,
        world: World,
        run: Run,
        settings: SyncSettings,
        accidents: list[Accident],
        *,
        wait_for_export: bool = True,
        wait_error: AmplitudeSegmentError | None = None,
        who: str = "",
        ahead: float = 0.0,
    ) -> None:
        self.run = run
        self.who = who or run.key
        self.process = Process(f"{self.who}.{run.try_number}", run.key, accidents, who=who, ahead=ahead)
        self.outcome: object = None
        self._world = world
        self._sessions: list[requests.Session] = []
        self._scratch = world.new_scratch()
        self.sync = CohortSync(settings, run, self._ports())
        self._how: dict[str, Any] = {"wait_for_export": wait_for_export, "wait_error": wait_error}
        self._thread = threading.Thread(target=self._play, name=f"attempt {self.process.name}", daemon=True)
        self.process.own_thread = self._thread

    def go_on(self) -> bool:
        """Begin, or wake up; return once it has ended (``True``) or was paused (``False``)."""
        if self.process.is_paused:
            self.process.resume()
        else:
            self._thread.start()
        deadline = time.monotonic() + _LONGEST_SECONDS
        while True:
            self._thread.join(0.002)
            if not self._thread.is_alive():
                return True
            if time.monotonic() > deadline:
                self.process.die()
                self.outcome = AssertionError(f"{self.process.name} hangs")
                return True
            if self.process.is_paused:
                self.process.await_quiet()
                return False

    @property
    def is_paused(self) -> bool:
        return self.process.is_paused

    @property
    def has_succeeded(self) -> bool:
        """Whether all was committed; users may have been refused."""
        return isinstance(self.outcome, SyncReport | RejectedUsersError)

    @property
    def is_incomplete(self) -> bool:
        """Whether it was deferred."""
        return isinstance(self.outcome, ExportIncomplete)

    @property
    def has_ended_the_run(self) -> bool:
        """Whether Airflow would not try this run again by itself."""
        if isinstance(self.outcome, AmplitudeSegmentError):
            return not self.outcome.retryable
        return isinstance(self.outcome, SyncReport | Skipped)

    @property
    def escaped(self) -> BaseException | None:
        """What came out that is none of our errors, and no accident either."""
        known = (AmplitudeSegmentError, Killed, TimedOut)
        return self.outcome if isinstance(self.outcome, BaseException) and not isinstance(self.outcome, known) else None

    def __str__(self) -> str:
        """Say how it ended, for the history's steps."""
        ended = f"{type(self.outcome).__name__}" if self.outcome is not None else "paused"
        if isinstance(self.outcome, AmplitudeSegmentError):
            ended += f" ({str(self.outcome)[:90]})"
        return f"{self.process.name}: {' '.join(self.process.steps)} -> {ended}"

    def _play(self) -> None:
        try:
            self.outcome = self.sync.run(**self._how)
        except BaseException as error:  # noqa: BLE001 - how it ended is looked at by the history
            self.outcome = error
        finally:
            for session in self._sessions:
                session.close()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _ports(self) -> SyncPorts:
        world, process = self._world, self.process
        clock = ProcessClock(world.time, process, world.tokens)
        delivery = DeliveryPorts(
            segment_clients={
                destination: self._segment(destination, key, clock) for destination, key in world.keys.items()
            },
            store=FaultyStore(world, process),
            clock=clock,
            random_source=clock,
            stop=process.stop,
            scratch=self._scratch,
            engine=shared_engine(self._scratch),
            integration={"name": "airflow-provider-amplitude-segment", "version": "faults"},
        )
        return SyncPorts(self._amplitude(clock), delivery)

    def _amplitude(self, clock: ProcessClock) -> AmplitudeClient:
        project = self._world.sandbox.amplitude
        wire = Wire(self.process, self._world)
        session = self._session(wire, project.api_key, project.secret_key)
        storage = self._session(wire)
        return AmplitudeClient(
            session,
            storage,
            self._world.sandbox.url,
            _TIMEOUT_SECONDS,
            sleep=clock.sleep,
            random=clock.random,
            now=clock.now,
        )

    def _segment(self, destination: Destination, key: str, clock: ProcessClock) -> SegmentClient:
        wire = Wire(self.process, self._world, destination.name)
        return SegmentClient(self._session(wire, key), self._world.sandbox.url, _TIMEOUT_SECONDS, now=clock.now)

    def _session(self, wire: Wire, login: str | None = None, password: str = "") -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.auth = HTTPBasicAuth(login, password) if login else None
        session.mount("http://", wire)
        self._sessions.append(session)
        return session
