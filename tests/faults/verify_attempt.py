"""One try of a verification, whose requests run one after the other, so that the same seed gives the same history."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, TypeVar

from fakes.engine import shared_engine

from airflow_provider_amplitude_segment.core.segment_api.retries import RETRIES
from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis, VerifyPorts
from airflow_provider_amplitude_segment.core.verification.profile_requests import REQUESTS_PER_SECOND
from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer
from airflow_provider_amplitude_segment.core.verification.verification import CohortVerification
from faults.faulty_store import FaultyStore
from faults.played_process import PlayedProcess
from faults.process import Process
from faults.segment_apis import API_CONN_ID, InlineLimit, open_profile_api, open_public_api
from faults.virtual_time import RENEWAL, ProcessClock
from faults.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination
    from faults.process import Accident
    from faults.world import World

_T = TypeVar("_T")


class _VerifyClock(ProcessClock):
    """Time passes where the verification waits for it, not while it waits for a response."""

    def wait(self, seconds: float, until: threading.Event) -> bool:
        if threading.current_thread().name == RENEWAL:
            return super().wait(seconds, until)
        self._process.gate()
        if not until.is_set():
            self._time.pass_by(seconds)
            self._process.gate()
        return until.is_set()

    def wait_for_any(self, futures: Collection[Future[Any]], seconds: float) -> None:  # noqa: ARG002 - see the class
        wait(futures)
        self._process.gate()


class _OneByOne(RequestPacer):
    """Lets a call begin when the one before it has ended."""

    def __init__(self, clock: _VerifyClock, stop: threading.Event) -> None:
        super().__init__(REQUESTS_PER_SECOND, clock, stop)
        self._is_idle = threading.Event()
        self._is_idle.set()

    def try_begin(self) -> float:
        is_new = not threading.current_thread().name.startswith("profile")
        if is_new:
            self._is_idle.wait()
        pause = super().try_begin()
        if is_new and not pause:
            self._is_idle.clear()
        return pause

    def run(self, call: Callable[[], _T]) -> _T:
        try:
            return super().run(call)
        finally:
            self._is_idle.set()


class VerifyAttempt(PlayedProcess):
    """One try of a verification of all destinations; the first one's users are asked for."""

    def __init__(
        self, world: World, run: Run, settings: VerifySettings, accidents: list[Accident], *, ahead: float = 0.0
    ) -> None:
        self.run = run
        self.settings = settings
        super().__init__(world, Process(f"{run.key}.{run.try_number}", run.key, accidents, ahead=ahead))
        self.verification = CohortVerification(settings, run, self._ports())

    @property
    def report(self) -> VerifiedDestination:
        """What is known of the first destination."""
        name = self._world.proved.name
        return next(report for report in self.verification.report.destinations if report.destination == name)

    def work(self) -> object:
        return self.verification.run()

    def _ports(self) -> VerifyPorts:
        world, process = self._world, self.process
        clock = _VerifyClock(world.time, process, world.tokens)
        pacer = _OneByOne(clock, process.stop)
        wire = Wire(process, world, world.proved.name)
        public = open_public_api(world, self.session(wire), clock, RETRIES, InlineLimit(clock, process.gate))
        profile = open_profile_api(world, self.session(wire), clock, pacer.before_request)
        return VerifyPorts(
            apis={
                destination: SegmentApis(API_CONN_ID, public, profile if destination == world.proved else None)
                for destination in world.keys
            },
            store=FaultyStore(world, process),
            clock=clock,
            random_source=clock,
            stop=process.stop,
            pacer=pacer,
            scratch=self._scratch,
            engine=shared_engine(self._scratch),
        )
