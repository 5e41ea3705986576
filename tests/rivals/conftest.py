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
    from pathlib import Path

    from fakes.s3_server import S3Server


@pytest.fixture(scope="module", params=["file system", "S3"])
def open_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server
) -> partial[LedgerStore]:
    """Return what opens the store in any process; it is pickled, so no lambda. Each kind of place is one param."""
    if request.param == "file system":
        return partial(LedgerStore, tmp_path_factory.mktemp("state"))
    s3_server.make_bucket("rivals")
    return partial(open_on_s3, s3_server.url, "rivals")


@pytest.fixture(scope="module")
def contents(open_store: partial[LedgerStore], s3_server: S3Server) -> Callable[[str], dict[str, bytes]]:
    """Return what gives the files in a ledger's folder by name, as they are kept, and not by way of the store.

    Its folders hold what is for people.
    """
    if open_store.func is open_on_s3:
        return partial(_objects, s3_server)
    return partial(_files, open_store.args[0])


def _objects(server: S3Server, folder: str) -> dict[str, bytes]:
    above = f"state/{folder}/"
    kept = {key.removeprefix(above): content for key, content in server.objects(f"rivals/{above}").items()}
    return {name: content for name, content in kept.items() if "/" not in name}


def _files(root: Path, folder: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (root / folder).iterdir() if file.is_file()}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(cohorts=[], keep_messages=True) as running:
        running.amplitude.parallel_per_minute = running.amplitude.requests_per_ten_minutes = None
        yield running


@pytest.fixture(scope="module")
def place(open_store: partial[LedgerStore], sandbox: Sandbox) -> Place:
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
