"""A world in which syncs happen, one after the other."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.engine.database import Engine
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
from airflow_provider_amplitude_segment.core.ports import SyncPorts
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.core.report.progress import Show, show_nothing
from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.core.retirement import CohortRetirement
from airflow_provider_amplitude_segment.core.settings import SyncSettings
from airflow_provider_amplitude_segment.core.sync import CohortSync
from fakes.amplitude import FakeAmplitude
from fakes.clock import FakeClock, FakeRandomSource, WrongClock
from fakes.cohort_folder import FakeCohortFolder
from fakes.engine import shared_engine
from fakes.segment import FakeSegment
from fakes.store import FakeStore

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess

TASK = "DAG 'dag', task 'sync'"


class World:
    """An Amplitude, a Segment, a place for ledgers, and time.

    Syncs share one engine with those of other worlds; with ``own_engines`` each has its own, as a task does.
    """

    def __init__(self, scratch: Path, *, own_engines: bool = False) -> None:
        self.amplitude = FakeAmplitude()
        self.clock = FakeClock()
        self.segment = FakeSegment(self.clock.now)
        self.store = FakeStore()
        self.random_source = FakeRandomSource()
        self.show: Show = show_nothing
        # By write key, the Public API that its connection names.
        self.public_apis: dict[str, PublicApiAccess] = {}
        # Where Amplitude writes cohort files; a sync reads them with ``files=True``.
        self.folder = FakeCohortFolder(self.clock.now)
        # What the links of the tasks were made of.
        self.shown_sources: list[Destination] = []
        # Of the destinations: what else is known of them.
        self.destination_fields: dict[str, Any] = {}
        self.last: CohortSync | CohortRetirement | None = None
        # By the name of a run, the number of its last try, and whether that was deferred.
        self.tries: dict[str, int] = {}
        self.deferred: set[str] = set()
        self._scratch = scratch
        self._own_engines = own_engines
        self._numbers = itertools.count(1)

    def run_named(self, name: str, try_number: int = 1, **more: Any) -> Run:
        return Run(
            **{"label": f"run {name!r}", "key": name, "dag_run": name, "task": TASK, "try_number": try_number, **more}
        )

    def next_try(self, name: str, **more: Any) -> Run:
        """The run as Airflow runs it now: its next try, or the one that was deferred."""
        resumes = name in self.deferred
        self.deferred.discard(name)
        self.tries[name] = max(1, self.tries.get(name, 0) + (0 if resumes else 1))
        return self.run_named(name, self.tries[name], **more)

    def destination(self, write_key: str = "default", **fields: Any) -> Destination:
        return Destination(f"segment_{write_key}", f"dst-{write_key}", key_fingerprint=f"fp-{write_key}", **fields)

    def prepare(
        self,
        cohort_id: str,
        *,
        run: str | None = None,
        keys: tuple[str, ...] = ("default",),
        recorded: dict[str, int] | None = None,
        names: dict[str, str] | None = None,
        ahead: float = 0.0,
        identity: dict[str, Any] | None = None,
        files: bool = False,
        **settings: Any,
    ) -> CohortSync:
        """A sync that has not begun; each gets a run of its own unless one is named.

        ``names`` are destinations' names by write key, where they are not the usual ones. ``ahead`` are the seconds by
        which the worker's clock is ahead of the right one. ``identity`` is what else a ``Run`` is known by.
        With ``files`` it reads the cohort files.
        """
        number = next(self._numbers)
        surroundings = self._surroundings(number, keys, names or {}, settings)
        if ahead:
            surroundings["clock"] = WrongClock(self.clock, ahead)
        sync = CohortSync(
            SyncSettings(cohort_id=cohort_id, **{"events_per_second": None, **settings}),
            self.next_try(run or f"run-{number}", **(identity or {})),
            SyncPorts(self.amplitude, DeliveryPorts(**surroundings), self.folder if files else None),
            recorded=recorded or {},
        )
        self.last = sync
        return sync

    def _surroundings(
        self, number: int, keys: tuple[str, ...], names: dict[str, str], settings: dict[str, Any]
    ) -> dict[str, Any]:
        scratch = self._scratch / f"sync-{number}"
        scratch.mkdir(parents=True)
        segment_clients = {}
        public_apis = {}
        for key in keys:
            destination = replace(self.destination(key), name=names.get(key, f"dst-{key}"), **self.destination_fields)
            destination = destination.with_integrations(settings.get("integrations"))
            segment_clients[destination] = self.segment.source(key)
            if key in self.public_apis:
                public_apis[destination.name] = self.public_apis[key]
        return {
            "segment_clients": segment_clients,
            "store": self.store,
            "clock": self.clock,
            "random_source": self.random_source,
            # A try's own: what stops one stops no other.
            "stop": threading.Event(),
            "scratch": scratch,
            "engine": self._engine(scratch, is_wide=bool(settings.get("user_properties"))),
            "integration": {"name": "tests", "version": "1"},
            "public_apis": public_apis,
            "show": self.show,
            "show_sources": self.shown_sources.extend,
        }

    def _engine(self, scratch: Path, *, is_wide: bool) -> Engine:
        return Engine(scratch, is_wide=is_wide) if self._own_engines else shared_engine(scratch, is_wide=is_wide)

    def retire(
        self,
        cohort_id: str,
        *,
        run: str | None = None,
        keys: tuple[str, ...] = ("default",),
        app_id: str | None = None,
        recorded: dict[str, int] | None = None,
        names: dict[str, str] | None = None,
        **settings: Any,
    ) -> SyncReport:
        """Run one try of a retirement; a minute passes after it."""
        number = next(self._numbers)
        retirement = CohortRetirement(
            SyncSettings(cohort_id=cohort_id, **{"events_per_second": None, **settings}),
            self.next_try(run or f"run-{number}"),
            DeliveryPorts(**self._surroundings(number, keys, names or {}, settings)),
            app_id=app_id,
            recorded=recorded or {},
        )
        self.last = retirement
        try:
            return retirement.run()
        finally:
            self.clock.pass_by(60)

    def attempt(
        self, cohort_id: str, *, wait_for_export: bool = True, **more: Any
    ) -> SyncReport | ExportIncomplete | Skipped:
        """Run one try; a minute passes after it."""
        try:
            outcome = self.prepare(cohort_id, **more).run(wait_for_export=wait_for_export)
            if isinstance(outcome, ExportIncomplete) and "run" in more:
                self.deferred.add(more["run"])
            return outcome
        finally:
            self.clock.pass_by(60)

    def sync(self, cohort_id: str, **more: Any) -> SyncReport:
        """Run a sync that ends well."""
        outcome = self.attempt(cohort_id, **more)
        assert isinstance(outcome, SyncReport)
        return outcome

    @property
    def report(self) -> SyncReport:
        """The report of the last try, however it ended."""
        assert self.last is not None
        return self.last.report
