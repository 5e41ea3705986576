"""A part of an object is neither the object nor damage, behind whatever drops what says where a body ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clients.conftest import Root, file_system
from fakes.http10_proxy import Http10Proxy
from fakes.s3_server import S3Server

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    read_checkpoint,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.claim import take_claim
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run, Stream
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, StateUnavailableError


@pytest.fixture
def cutting(s3_server: S3Server, root: Root) -> Iterator[tuple[Http10Proxy, LedgerStore]]:
    """A store behind a proxy that sends the first half of each object and announces no end; no checksum shows it."""
    never = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    with Http10Proxy(s3_server.url) as proxy:
        proxy.hand_on = lambda path, body: body[: len(body) // 2] if path.startswith(f"/{root.path}/") else body
        yield proxy, LedgerStore(Root(file_system(proxy.url, config_kwargs=never), root.path))


def test_a_part_of_an_object_is_neither_the_object_nor_damage(
    cutting: tuple[Http10Proxy, LedgerStore], store: LedgerStore, tmp_path: Path
) -> None:
    proxy, behind = cutting
    store.put("a/plan-1.json", b'{"format": 1}')
    (tmp_path / "snapshot").write_bytes(bytes(100_000))
    store.put_file("a/snapshot", tmp_path / "snapshot")

    with pytest.raises(StateUnavailableError, match=r"only 6 of 13 bytes of a/plan-1.json came") as cut:
        behind.get("a/plan-1.json")
    assert cut.value.retryable
    with pytest.raises(StateUnavailableError, match=r"only 50,000 of 100,000 bytes of a/snapshot came"):
        behind.get_file("a/snapshot", tmp_path / "copy")

    proxy.hand_on = lambda _path, body: body
    assert behind.get("a/plan-1.json") == b'{"format": 1}'
    assert behind.get_file("a/snapshot", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == bytes(100_000)


def test_a_part_of_a_claim_or_of_a_run_record_is_not_taken_for_what_a_dead_writer_left(
    cutting: tuple[Http10Proxy, LedgerStore], store: LedgerStore
) -> None:
    """The one would let a second run in, the other spend a second export."""
    proxy, behind = cutting
    stream, ours, theirs = Stream("1", "c1", Destination("segment", "dst")), Run("a", "a"), Run("b", "b")
    take_claim(store, stream, ours, 0)
    write_checkpoint(store, stream, ours, RunCheckpoint("export-1", 0, {}))

    with pytest.raises(StateUnavailableError, match=r"claim-1\.json came"):
        take_claim(behind, stream, theirs, 1)
    with pytest.raises(StateUnavailableError, match=r"runs/a\.json came"):
        read_checkpoint(behind, stream, ours)
    assert store.names(stream.folder) == ["claim-1.json"]

    proxy.hand_on = lambda _path, body: body
    with pytest.raises(ClaimHeldError):
        take_claim(behind, stream, theirs, 1)
    assert read_checkpoint(behind, stream, ours) == RunCheckpoint("export-1", 0, {})


def test_an_object_that_is_damaged_where_it_stands_is_handed_out_as_it_is(store: LedgerStore) -> None:
    """What it is worth is the ledger's to say."""
    store.put("a/plan-1.json", b'{"format"')

    assert store.get("a/plan-1.json") == b'{"format"'
