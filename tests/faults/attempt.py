"""An attempt: one try of one run of a sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.engine import shared_engine

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.ports import SyncPorts
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
from airflow_provider_amplitude_segment.core.segment_api.retries import FEW_RETRIES
from airflow_provider_amplitude_segment.core.sync import CohortSync
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, RejectedUsersError
from faults.faulty_folder import FaultyFolder
from faults.faulty_store import FaultyStore
from faults.played_process import PlayedProcess
from faults.process import Process
from faults.segment_apis import API_CONN_ID, TIMEOUT_SECONDS, InlineLimit, open_public_api
from faults.virtual_time import ProcessClock
from faults.wire import Wire

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from faults.process import Accident
    from faults.source_checks import SourceState
    from faults.world import World


class Attempt(PlayedProcess):
    """One try of a sync. ``source_state`` is what the Public API says of the first destination, where it is asked.

    ``from_files`` is whether the cohort is read from Amplitude's cohort files.
    """

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
        source_state: SourceState | None = None,
        from_files: bool = False,
    ) -> None:
        self.run = run
        self.from_files = from_files
        self.who = who or run.key
        self.source_state = source_state
        if source_state and source_state.is_refusing:
            # A check that is too slow lets the sync go on, and what it sends to a disabled source is lost.
            accidents = [accident for accident in accidents if accident.what != "slow answer"]
        super().__init__(world, Process(f"{self.who}.{run.try_number}", run.key, accidents, who=who, ahead=ahead))
        self.sync = CohortSync(settings, run, self._ports())
        self._how: dict[str, Any] = {"wait_for_export": wait_for_export, "wait_error": wait_error}

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

    def work(self) -> object:
        return self.sync.run(**self._how)

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
            public_apis={world.proved.name: self._public_api(clock)} if self.source_state else {},
        )
        writer = world.file_writer if self.from_files else None
        return SyncPorts(self._amplitude(clock), delivery, FaultyFolder(writer, process) if writer else None)

    def _amplitude(self, clock: ProcessClock) -> AmplitudeClient:
        project = self._world.sandbox.amplitude
        wire = Wire(self.process, self._world)
        session = self.session(wire, project.api_key, project.secret_key)
        storage = self.session(wire)
        return AmplitudeClient(
            session,
            storage,
            self._world.sandbox.url,
            TIMEOUT_SECONDS,
            sleep=clock.sleep,
            random=clock.random,
            now=clock.now,
        )

    def _segment(self, destination: Destination, key: str, clock: ProcessClock) -> SegmentClient:
        wire = Wire(self.process, self._world, destination.name)
        return SegmentClient(self.session(wire, key), self._world.sandbox.url, TIMEOUT_SECONDS, now=clock.now)

    def _public_api(self, clock: ProcessClock) -> PublicApiAccess:
        limit = InlineLimit(clock)
        session = self.session(Wire(self.process, self._world))
        client = open_public_api(self._world, session, clock, FEW_RETRIES, limit)
        return PublicApiAccess(API_CONN_ID, None, client, limit)
