"""An S3 endpoint that refuses one of our headers is named with what it refuses and what cures it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clients.conftest import Root, file_system
from fakes.s3_server import S3Server
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import StatePathError

CHECKSUM = ("x-amz-checksum", "x-amz-sdk-checksum", "x-amz-trailer")
REFUSALS = [
    pytest.param(CHECKSUM, 501, "NotImplemented", "x-amz-checksum-crc32", id="checksum, named as S3 does"),
    pytest.param(CHECKSUM, 501, "NotImplemented", "", id="checksum, not named"),
    pytest.param(CHECKSUM, 400, "InvalidArgument", "", id="checksum, 400"),
    pytest.param(CHECKSUM, 403, "SignatureDoesNotMatch", "", id="checksum, taken for another signature"),
    pytest.param(("if-none-match",), 501, "NotImplemented", "If-None-Match", id="condition, named as S3 does"),
    pytest.param(("if-none-match",), 501, "NotImplemented", "", id="condition, not named"),
    pytest.param(("if-none-match",), 400, "InvalidRequest", "", id="condition, 400"),
]


@pytest.fixture
def refusing(s3_server: S3Server) -> Iterator[S3Server]:
    yield s3_server
    s3_server.refuse_headers()


@pytest.mark.parametrize(("headers", "status", "code", "named"), REFUSALS)
def test_a_header_that_a_store_refuses_is_named_with_its_cure_and_leaves_nothing(
    refusing: S3Server, root: Root, store: LedgerStore, headers: tuple[str, ...], status: int, code: str, named: str
) -> None:
    """Which one it is, is tried out where the store does not say."""
    refusing.refuse_headers(*headers, status=status, code=code, names=named)

    with pytest.raises(StatePathError, match=f"{code}, HTTP {status}") as refused:
        store.create("a/claim-1.json", b"ours")

    assert not refused.value.retryable
    said = str(refused.value)
    if headers == CHECKSUM:
        assert "refuses the checksum headers" in said
        assert "AWS_REQUEST_CHECKSUM_CALCULATION=when_required" in said
    else:
        assert "refuses the condition If-None-Match" in said
        assert "This store cannot hold a ledger" in said
    refusing.refuse_headers()
    assert root.fs.find(root.path, refresh=True) == []


def test_a_store_that_refuses_checksums_holds_a_ledger_with_the_setting_that_is_named(
    refusing: S3Server, root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    refusing.refuse_headers(*CHECKSUM, status=501, code="NotImplemented")
    store = LedgerStore(Root(file_system(refusing.url), root.path))
    (tmp_path / "large").write_bytes(bytes(20 << 20))

    assert store.create("a/claim-1.json", b"ours")
    assert not store.create("a/claim-1.json", b"theirs")
    store.put("a/plan-1.json", b"{}")
    store.put_file("a/snapshot", tmp_path / "large")
    assert store.get("a/plan-1.json") == b"{}"


def test_a_refusal_that_is_about_no_header_is_told_by_its_own_name(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    """A second put like the first is taken, so neither header is to blame."""
    s3_server.fail_next("PUT", bucket, 400, "InvalidRequest")

    with pytest.raises(StatePathError, match="cannot be used: InvalidRequest, HTTP 400"):
        store.create("a/claim-1.json", b"ours")


def test_a_file_system_that_looks_first_and_then_writes_is_refused(tmp_path: Path) -> None:
    """The file systems of fsspec itself create so, and two runs could both find nothing."""
    store = LedgerStore(Root(LocalFileSystem(auto_mkdir=True), str(tmp_path)))

    with pytest.raises(StatePathError, match="two runs could claim one cohort at once") as refused:
        store.create("a/claim-1.json", b"ours")

    assert not refused.value.retryable
    assert list(tmp_path.iterdir()) == []
