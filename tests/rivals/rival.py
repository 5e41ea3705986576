"""A rival: a process of its own that syncs when asked to, over HTTP and a store that others have open too."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import psutil
import requests
from fakes.engine import shared_engine
from fakes.s3_server import KEY, SECRET
from requests.auth import HTTPBasicAuth
from s3fs import S3FileSystem

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock, SystemRandomSource
from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run, Stream
from airflow_provider_amplitude_segment.core.ports import SyncPorts
from airflow_provider_amplitude_segment.core.settings import SyncSettings
from airflow_provider_amplitude_segment.core.sync import CohortSync
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier, Event

    from airflow_provider_amplitude_segment.core.delivery.response import Response

DESTINATION = Destination("segment_default", "dst-1", key_fingerprint="fp-1")
APP_ID = "187520"
_WITHIN_SECONDS = 60


def open_on_s3(url: str, bucket: str) -> LedgerStore:
    """Open a store in a bucket of moto's server, as ``ObjectStoragePath`` does by an Airflow connection."""
    fs = S3FileSystem(key=KEY, secret=SECRET, endpoint_url=url, client_kwargs={"region_name": "us-east-1"})
    return LedgerStore(SimpleNamespace(fs=fs, path=f"{bucket}/state"))


@dataclass(frozen=True)
class Place:
    """Where rivals meet: one store, one Amplitude, one Segment. It crosses processes.

    ``open_store`` opens the store anew in each of them.
    """

    open_store: Callable[[], LedgerStore]
    url: str
    amplitude_key: tuple[str, str]
    write_key: str


@dataclass(frozen=True)
class Order:
    """What a rival is to do: a sync, or with ``only_claim`` no more than to take the claim."""

    cohort_id: str
    run: str
    try_number: int = 1
    together: bool = False
    only_claim: bool = False
    holds_batches: bool = False
    """Send no batch before the event that the rivals share is set."""
    stops_before_writing: str | None = None
    """Stop the own process, as SIGSTOP does, before the object of this name is written."""


@dataclass(frozen=True)
class Ending:
    """How it ended: ``done``, or the error's class and text."""

    kind: str
    text: str = ""


class Rival:
    """One such process; a context manager that leaves none."""

    def __init__(self, place: Place, barrier: Barrier | None = None, may_send: Event | None = None) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, there = spawning.Pipe()
        # Without a lock, because a process that is stopped keeps the locks that it has.
        self._ahead = spawning.Value("d", 0.0, lock=False)
        meeting = Meeting(barrier, may_send, self._ahead)
        self._process = spawning.Process(target=_serve, args=(there, meeting, place), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.wake()
        self._pipe.send(None)
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    @property
    def pipe(self) -> Connection:
        """Where its ending arrives: what waits for the first of several rivals waits for this."""
        return self._pipe

    def begin(self, order: Order) -> None:
        self._ahead.value = 0.0
        self._pipe.send(order)

    def end(self) -> Ending:
        assert self._pipe.poll(_WITHIN_SECONDS), "the rival does not end"
        ending: Ending = self._pipe.recv()
        return ending

    def do(self, order: Order) -> Ending:
        self.begin(order)
        return self.end()

    def stop(self) -> None:
        """Stop the process where it stands: a suspended machine, a frozen container."""
        os.kill(self._pid, signal.SIGSTOP)
        self.wait_until_stopped()

    def wait_until_stopped(self) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while psutil.Process(self._pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline, "the rival does not stop"
            time.sleep(0.002)

    def wake(self, *, later: float = 0.0) -> None:
        """Let the process go on; its clock says that so many seconds more have passed."""
        self._ahead.value += later
        os.kill(self._pid, signal.SIGCONT)

    @property
    def _pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid


@dataclass(frozen=True)
class Meeting:
    """What a rival shares with the process that started it. It crosses processes.

    Attributes:
        barrier: where rivals wait for each other before they begin.
        may_send: set when rivals that hold their batches may send them.
        ahead: seconds by which the rival's clock is ahead.
    """

    barrier: Barrier | None
    may_send: Event | None
    ahead: Any


class _RivalClock(SystemClock):
    """The machine's time, and the seconds more that the test says have passed."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def now(self) -> float:
        return super().now() + float(self._meeting.ahead.value)

    def monotonic(self) -> float:
        return super().monotonic() + float(self._meeting.ahead.value)


class _HoldingSegment:
    """A client that sends nothing before it may."""

    def __init__(self, segment: SegmentClient, may_send: Event) -> None:
        self._segment = segment
        self._may_send = may_send
        self.added_bytes = segment.added_bytes

    def post_batch(self, body: bytes, *, retry: int) -> Response:
        assert self._may_send.wait(_WITHIN_SECONDS), "no test lets the rival send"
        return self._segment.post_batch(body, retry=retry)


class _StoppingStore:
    """A store that stops its own process, with every thread in it, before one object is written."""

    def __init__(self, store: LedgerStore, before: str) -> None:
        self._store = store
        self._before = before
        self._stopped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, name: str, content: bytes) -> None:
        self._stop_where_due(name)
        self._store.put(name, content)

    def put_file(self, name: str, path: Path) -> None:
        self._stop_where_due(name)
        self._store.put_file(name, path)

    def _stop_where_due(self, name: str) -> None:
        if not self._stopped and name.endswith(f"/{self._before}"):
            self._stopped = True
            # To this thread: any other one could take a signal to the process, and this one would go on for a moment.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def _serve(pipe: Connection, meeting: Meeting, place: Place) -> None:
    clock = _RivalClock(meeting)
    with ExitStack() as stack:
        amplitude, segment = _clients(place, stack)
        while (order := pipe.recv()) is not None:
            store = place.open_store()
            sends_by: SegmentClient | _HoldingSegment = segment
            if order.holds_batches:
                assert meeting.may_send is not None
                sends_by = _HoldingSegment(segment, meeting.may_send)
            if meeting.barrier is not None and order.together:
                meeting.barrier.wait(_WITHIN_SECONDS)
            try:
                if order.only_claim:
                    take_claim(store, stream(order.cohort_id), _run(order), clock.now())
                else:
                    _sync(order, store, clock, amplitude, sends_by)
                ending = Ending("done")
            except AmplitudeSegmentError as error:
                ending = Ending(type(error).__name__, str(error))
            pipe.send(ending)


def _sync(
    order: Order,
    store: LedgerStore,
    clock: _RivalClock,
    amplitude: AmplitudeClient,
    segment: SegmentClient | _HoldingSegment,
) -> None:
    before = order.stops_before_writing
    with tempfile.TemporaryDirectory() as scratch:
        delivery = DeliveryPorts(
            segment_clients={DESTINATION: segment},
            store=_StoppingStore(store, before) if before else store,
            clock=clock,
            random_source=SystemRandomSource(),
            stop=threading.Event(),
            scratch=Path(scratch),
            engine=shared_engine(Path(scratch)),
            integration={"name": "rivals", "version": "1"},
        )
        settings = SyncSettings(
            cohort_id=order.cohort_id, events_per_second=None, max_concurrent_requests=2, poll_interval=0.02
        )
        CohortSync(settings, _run(order), SyncPorts(amplitude, delivery)).run()


def _run(order: Order) -> Run:
    return Run(label=f"run {order.run!r}", key=order.run, try_number=order.try_number)


def stream(cohort_id: str) -> Stream:
    return Stream(APP_ID, cohort_id, DESTINATION)


def _clients(place: Place, stack: ExitStack) -> tuple[AmplitudeClient, SegmentClient]:
    project, storage, source = requests.Session(), requests.Session(), requests.Session()
    project.auth = HTTPBasicAuth(*place.amplitude_key)
    source.auth = HTTPBasicAuth(place.write_key, "")
    amplitude = AmplitudeClient(project, storage, place.url, 20)
    segment = SegmentClient(source, place.url, 20)
    stack.callback(amplitude.close)
    stack.callback(segment.close)
    return amplitude, segment
