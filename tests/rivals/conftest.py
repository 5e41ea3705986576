"""A store, a sandbox, and two rivals that wait for orders."""

from __future__ import annotations

import multiprocessing
from functools import partial
from typing import TYPE_CHECKING

import pytest
from rivals.rival import Place, Rival, open_on_s3

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Event

    from fakes.s3_server import S3Server


@pytest.fixture(scope="module", params=["file system", "S3"])
def open_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server
) -> Callable[[], LedgerStore]:
    """Return what opens the store in any process; it is pickled, so no lambda. Each kind of place is one param."""
    if request.param == "file system":
        return partial(LedgerStore, tmp_path_factory.mktemp("state"))
    s3_server.make_bucket("rivals")
    return partial(open_on_s3, s3_server.url, "rivals")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(cohorts=[], keep_messages=True) as running:
        running.amplitude.parallel_per_minute = running.amplitude.requests_per_ten_minutes = None
        yield running


@pytest.fixture(scope="module")
def place(open_store: Callable[[], LedgerStore], sandbox: Sandbox) -> Place:
    project = sandbox.amplitude
    return Place(open_store, sandbox.url, (project.api_key, project.secret_key), WRITE_KEY_DEFAULT)


@pytest.fixture(scope="module")
def may_send() -> Event:
    """Return what rivals wait for that hold their batches."""
    return multiprocessing.get_context("spawn").Event()


@pytest.fixture(scope="module")
def rivals(place: Place, may_send: Event) -> Iterator[tuple[Rival, Rival]]:
    """Start two rivals; orders that say ``together`` are begun at the same moment."""
    barrier = multiprocessing.get_context("spawn").Barrier(2)
    with Rival(place, barrier, may_send) as first, Rival(place, barrier, may_send) as second:
        yield first, second
