"""An object is absent only where its store says so; another file that is missing is a fault, and hides no ledger."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from clients.conftest import Root, file_system
from fakes import World
from fakes.recording_server import CannedResponse, RecordingServer
from fakes.s3_server import KEY, SECRET, S3Server
from fsspec.implementations.local import LocalFileSystem
from s3fs import S3FileSystem

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.ledger.stream import Run, Stream
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.exceptions import EngineError, StatePathError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver

TOKEN = "/var/run/secrets/token"
NO_TOKEN = FileNotFoundError(errno.ENOENT, "No such file or directory", TOKEN)

ASKS: list[Callable[[LedgerStore, Path], object]] = [
    lambda store, _: store.get("a/claim-1.json"),
    lambda store, to: store.get_file("a/snapshot", to),
    lambda store, _: store.names("a"),
    lambda store, _: store.delete("a/claim-1.json"),
    lambda store, _: store.create("a/claim-1.json", b"ours"),
]
ASKED = pytest.mark.parametrize("ask", ASKS, ids=["get", "get_file", "names", "delete", "create"])


class WithoutToken(S3FileSystem):
    """s3fs where the file of a web identity's token is missing: botocore opens it before the first request."""

    async def set_session(self, *_: Any, **__: Any) -> Any:
        raise NO_TOKEN


class Failing:
    """A bucket store whose every response is one error."""

    async_impl = True

    def __init__(self, error: Exception) -> None:
        self.error = error

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise self.error

    cat_file = get_file = ls = rm_file = pipe_file = _fail


class LosingItsToken(LocalFileSystem):
    """A bucket store, kept in a folder, that cannot find its credentials for some calls."""

    cachable = False
    async_impl = True

    def __init__(self) -> None:
        super().__init__(auto_mkdir=True)
        self.fails: set[tuple[str, str]] = set()

    def ls(self, path: str, *args: Any, **kwargs: Any) -> Any:
        self._look_up("ls", path)
        return super().ls(path, *args, **kwargs)

    def rm_file(self, path: str) -> None:
        self._look_up("rm", path)
        super().rm_file(path)

    def _look_up(self, call: str, path: str) -> None:
        if any(call == failing and part in path for failing, part in self.fails):
            raise NO_TOKEN


@ASKED
def test_a_credentials_file_that_is_missing_is_named_and_tried_again(
    ask: Callable[[LedgerStore, Path], object], tmp_path: Path
) -> None:
    fs = WithoutToken(endpoint_url="http://127.0.0.1:9", skip_instance_cache=True)

    with pytest.raises(StateUnavailableError, match=f"{TOKEN} of this worker is needed") as failed:
        ask(LedgerStore(Root(fs, "bucket/state")), tmp_path / "copy")
    assert failed.value.retryable
    assert "Check that each worker has the files" in failed.value.advice


@ASKED
def test_a_bucket_that_does_not_exist_is_no_absent_object(
    ask: Callable[[LedgerStore, Path], object], s3_server: S3Server, tmp_path: Path
) -> None:
    store = LedgerStore(Root(file_system(s3_server.url), "missing-bucket/state"))

    with pytest.raises(StatePathError, match="cannot be used: NoSuchBucket, HTTP 404") as failed:
        ask(store, tmp_path / "copy")
    assert not failed.value.retryable


@ASKED
def test_a_web_server_that_knows_no_such_page_is_no_store(
    ask: Callable[[LedgerStore, Path], object], tmp_path: Path
) -> None:
    with RecordingServer(CannedResponse(404, body=b"<html>Not Found</html>")) as server:
        fs = S3FileSystem(key=KEY, secret=SECRET, endpoint_url=server.url, skip_instance_cache=True)
        with pytest.raises(StatePathError, match="HTTP"):
            ask(LedgerStore(Root(fs, "bucket/state")), tmp_path / "copy")


@pytest.mark.parametrize(
    "error",
    [
        NO_TOKEN,
        NotADirectoryError(errno.ENOTDIR, "Not a directory", TOKEN),
        FileNotFoundError(TOKEN),
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        FileExistsError(errno.EEXIST, "File exists", "/run/cache/aws"),
    ],
    ids=repr,
)
@ASKED
def test_an_error_about_another_file_is_no_answer_of_the_store(
    ask: Callable[[LedgerStore, Path], object], error: OSError, tmp_path: Path
) -> None:
    store = LedgerStore(SimpleNamespace(fs=Failing(error), path="bucket/state"))

    with pytest.raises(StateUnavailableError, match="of this worker is needed for it"):
        ask(store, tmp_path / "copy")


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("bucket/state/a/claim-1.json"),
        FileNotFoundError(
            "https://storage.googleapis.com/download/storage/v1/b/bucket/o/state%2Fa%2Fclaim-1.json?alt=media"
        ),
        FileNotFoundError("b/bucket/o/state%2Fa%2Fclaim-1.json"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "bucket/state/a/claim-1.json"),
    ],
    ids=["s3fs", "gcsfs, get", "gcsfs, delete", "adlfs"],
)
def test_an_error_that_names_the_object_says_that_it_is_absent(error: OSError) -> None:
    store = LedgerStore(SimpleNamespace(fs=Failing(error), path="bucket/state"))

    assert store.get("a/claim-1.json") is None
    store.delete("a/claim-1.json")


def test_a_scratch_folder_that_is_gone_is_no_absent_object(tmp_path: Path) -> None:
    store = LedgerStore(SimpleNamespace(fs=LosingItsToken(), path=str(tmp_path / "state")))
    store.put("a/snapshot", b"rows")

    with pytest.raises(EngineError):
        store.get_file("a/snapshot", tmp_path / "gone" / "copy")


def test_a_ledger_whose_listing_fails_is_passed_over_by_name_and_an_erasure_that_cannot_delete_is_none(
    tmp_path: Path,
) -> None:
    fs, world = LosingItsToken(), World(tmp_path)
    world.store = LedgerStore(SimpleNamespace(fs=fs, path=str(tmp_path / "state")))
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1", keys=("default", "second"))
    passed: list[PassedOver] = []

    fs.fails = {("ls", "second")}
    found = find_streams(world.store, passed.append)
    assert len(found) == 1
    assert len(passed) == 1
    assert "second" in str(passed[0])

    fs.fails = {("rm", "")}
    scratch, stream = tmp_path / "erasure", Stream("1234", "c1", world.destination())
    scratch.mkdir()
    with pytest.raises(StateUnavailableError, match="of this worker is needed"):
        erase_users(MaintenancePorts(world.store, Run("r", "k"), world.clock, scratch), stream, ["ann"])
