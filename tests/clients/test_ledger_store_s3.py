"""The ledger's place on S3: one winner, nothing from a cache, nothing by halves, and no bucket made."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clients.conftest import Root, file_system
from fakes.s3_server import KEY, SECRET, S3Server
from fakes.small_files import files_up_to

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import EngineError, StatePathError, StateUnavailableError

PEER = Path(__file__).parent / "s3_peer.py"


def peers(task: str, s3_server: S3Server, bucket: str, count: int) -> list[Any]:
    """What so many processes return that do the same at once: all of them begin when the last is ready."""
    command = [sys.executable, str(PEER), task, s3_server.url, bucket]
    running = [
        subprocess.Popen(  # noqa: S603 - our own program
            [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(count)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start = time.time() + 0.1
    for process in running:
        assert process.stdin is not None
        process.stdin.write(f"{start}\n")
        process.stdin.flush()
    return [json.loads(process.communicate(timeout=60)[0]) for process in running]


def test_what_is_put_is_got_and_listed_and_deleted(store: LedgerStore, tmp_path: Path) -> None:
    assert (store.get("a/b/plan-1.json"), store.names("a/b")) == (None, [])
    assert not store.get_file("a/b/changes", tmp_path / "none")

    store.put("a/b/plan-1.json", b"one")
    store.put("a/b/plan-1.json", b"two")
    (tmp_path / "changes").write_bytes(b"rows")
    store.put_file("a/b/reports/changes", tmp_path / "changes")

    assert store.get("a/b/plan-1.json") == b"two"
    assert sorted(store.names("a/b")) == ["plan-1.json", "reports"]
    assert (store.folders("a/b"), store.folders("a/b/reports"), store.folders("no")) == (["reports"], [], [])
    assert store.get_file("a/b/reports/changes", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"rows"
    store.delete("a/b/plan-1.json")
    store.delete("a/b/plan-1.json")
    assert store.names("a/b") == ["reports"]


def test_what_another_process_writes_and_deletes_is_seen_at_once(
    s3_server: S3Server, root: Root, tmp_path: Path
) -> None:
    other = LedgerStore(Root(file_system(s3_server.url), root.path))
    other.put("a/claim-1.json", b"1")
    # Airflow shares one file system in a process, and other code has filled its cache.
    root.fs.ls(f"{root.path}/a", detail=True)
    store = LedgerStore(root)
    assert store.names("a") == ["claim-1.json"]
    assert store.get("a/claim-1.json") == b"1"

    other.put("a/claim-1.json", b"1, released and longer than it was")
    other.put("a/claim-2.json", b"2")

    assert sorted(store.names("a")) == ["claim-1.json", "claim-2.json"]
    assert store.get("a/claim-1.json") == b"1, released and longer than it was"
    other.delete("a/claim-1.json")
    assert store.names("a") == ["claim-2.json"]
    assert store.get("a/claim-1.json") is None
    assert not store.get_file("a/claim-1.json", tmp_path / "gone")


def test_of_processes_that_create_the_same_claim_in_the_same_instant_one_wins(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    results = peers("create", s3_server, bucket, 4)

    for turn in range(20):
        winners = [number for number, won in enumerate(results) if won[turn]]
        assert len(winners) == 1, f"turn {turn}: {winners}"
        assert store.get(f"a/claim-{turn}.json") == f"claim of {winners[0]}".encode()


def test_one_of_many_threads_wins_and_all_of_them_may_write(store: LedgerStore) -> None:
    def work(number: int) -> bool:
        store.put(f"a/journal-{number}.json", b"%d" % number)
        assert store.get(f"a/journal-{number}.json") == b"%d" % number
        assert f"journal-{number}.json" in store.names("a")
        return store.create("a/claim-1.json", b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(work, range(40)))

    assert sum(won) == 1
    assert store.get("a/claim-1.json") == b"%d" % won.index(True)
    assert len(store.names("a")) == 41


def test_a_forked_task_uses_the_file_system_that_its_parent_had_opened(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    assert peers("fork", s3_server, bucket, 1) == ["the child ended with 0"]
    assert store.get("a/forked") == b"written by the child"


def test_a_server_that_says_only_that_the_precondition_failed_is_understood(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    """AWS names the condition in its response; others do not, and s3fs then raises something else."""
    store.put("a/claim-1.json", b"theirs")
    s3_server.fail_next("PUT", bucket, 412, "PreconditionFailed")

    assert not store.create("a/claim-1.json", b"ours")
    assert store.get("a/claim-1.json") == b"theirs"


def test_a_claim_that_another_writer_is_at_just_now_is_not_ours(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    s3_server.fail_next("PUT", bucket, 409, "ConditionalRequestConflict")

    assert not store.create("a/claim-1.json", b"ours")


def test_a_claim_whose_answer_was_lost_is_known_for_our_own(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    """The library sends the request again by itself, and gets the response that the object exists."""
    s3_server.fail_next("PUT", bucket, 500, "InternalError", apply=True)

    assert store.create("a/claim-1.json", b"ours")
    assert not store.create("a/claim-1.json", b"theirs")


def test_a_server_that_ignores_the_condition_is_refused(s3_server: S3Server, store: LedgerStore) -> None:
    s3_server.ignore_conditions(ignored=True)
    try:
        with pytest.raises(StatePathError, match=r"two runs could claim .*reference/configuration\.md") as refused:
            store.create("a/claim-1.json", b"ours")
    finally:
        s3_server.ignore_conditions(ignored=False)
    assert not refused.value.retryable


def test_a_large_file_whose_parts_do_not_all_arrive_leaves_what_was_there(
    s3_server: S3Server, bucket: str, store: LedgerStore, tmp_path: Path
) -> None:
    store.put("a/snapshot", b"whole")
    large = tmp_path / "large"
    large.write_bytes(bytes(20 << 20))
    s3_server.fail_next("PUT", bucket, 403, "AccessDenied")

    with pytest.raises(StatePathError, match="AccessDenied"):
        store.put_file("a/snapshot", large)
    assert store.get("a/snapshot") == b"whole"
    assert store.names("a") == ["snapshot"]

    store.put_file("a/snapshot", large)
    assert store.get_file("a/snapshot", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_size == 20 << 20


def test_a_folder_of_more_objects_than_one_answer_lists_is_listed_whole(
    s3_server: S3Server, bucket: str, store: LedgerStore
) -> None:
    s3_server.put_many(bucket, [f"state/a/acked-{number}.json" for number in range(1_050)], b"{}")

    assert len(set(store.names("a"))) == 1_050


def test_a_look_is_one_request(s3_server: S3Server, bucket: str, store: LedgerStore) -> None:
    store.create("a/claim-1.json", b"ours")
    s3_server.requests()

    store.names("a")

    assert s3_server.requests() == [f"GET /{bucket}"]


def test_a_folder_that_a_console_made_is_no_object_of_itself(root: Root, store: LedgerStore) -> None:
    root.fs.touch(f"{root.path}/a/")

    assert (store.names("a"), store.folders("a")) == ([], [])


def test_a_bucket_that_nobody_made_is_named_and_not_made(s3_server: S3Server) -> None:
    before = s3_server.buckets()
    store = LedgerStore(Root(file_system(s3_server.url), "missing-bucket/state"))

    for write in (lambda: store.create("a/claim-1.json", b""), lambda: store.put("a/plan-1.json", b"")):
        with pytest.raises(StatePathError, match=r"missing-bucket.* cannot be used: NoSuchBucket") as refused:
            write()
        assert not refused.value.retryable
    assert s3_server.buckets() == before


def test_a_bucket_that_cannot_be_one_is_lasting(s3_server: S3Server) -> None:
    with pytest.raises(StatePathError, match="ParamValidationError") as refused:
        LedgerStore(Root(file_system(s3_server.url), "no bucket/state")).put("a/plan-1.json", b"")
    assert not refused.value.retryable


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_refused_credentials_are_lasting_and_not_told(
    s3_server: S3Server, bucket: str, store: LedgerStore, code: str
) -> None:
    s3_server.fail_next("PUT", bucket, 403, code)

    with pytest.raises(StatePathError, match=code) as refused:
        store.put("a/plan-1.json", b"")
    assert not refused.value.retryable
    assert SECRET not in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "ServiceUnavailable"), (429, "TooManyRequests"), (409, "OperationAborted"), (400, "IncompleteBody")],
)
def test_a_server_that_fails_for_a_while_may_be_tried_again(
    s3_server: S3Server, root: Root, bucket: str, status: int, code: str
) -> None:
    never = file_system(s3_server.url, config_kwargs={"retries": {"max_attempts": 0}})
    s3_server.fail_next("GET", bucket, status, code)

    with pytest.raises(StateUnavailableError, match=f"failed: {code}, HTTP {status}") as failed:
        LedgerStore(Root(never, root.path)).names("a")
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "InvalidRequest"), (403, "AccountProblem"), (405, "MethodNotAllowed"), (501, "NotImplemented")],
)
def test_what_no_retry_changes_is_lasting(
    s3_server: S3Server, bucket: str, store: LedgerStore, status: int, code: str
) -> None:
    s3_server.fail_next("GET", bucket, status, code)

    with pytest.raises(StatePathError, match=f"cannot be used: {code}, HTTP {status}") as failed:
        store.names("a")
    assert not failed.value.retryable


def test_a_network_that_is_down_may_be_tried_again_and_no_url_is_told() -> None:
    config = {"retries": {"max_attempts": 0}}
    store = LedgerStore(Root(file_system("http://user:hush@127.0.0.1:9", config_kwargs=config), "bucket/state"))

    with pytest.raises(StateUnavailableError, match="s3://ledger@bucket/state failed") as failed:
        store.names("a")
    assert "hush" not in str(failed.value)


def test_a_workers_disk_that_takes_no_copy_is_no_fault_of_the_bucket(store: LedgerStore, tmp_path: Path) -> None:
    store.put("a/snapshot", b"rows" * 1000)

    with files_up_to(100), pytest.raises(EngineError, match="File too large") as refused:
        store.get_file("a/snapshot", tmp_path / "copy")

    assert refused.value.folder == str(tmp_path)
    assert store.get_file("a/snapshot", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"rows" * 1000
