"""The whole sync with its memory on S3: the same promises, and nothing kept on the worker's own disk."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath, TaskDeferred
from fakes.s3_server import S3Server
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.warm_python import warm_python

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.exceptions import (
    ClaimHeldError,
    LedgerDamagedError,
    StatePathError,
)
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Fault,
    Sandbox,
    SandboxCohort,
)

TRAIT = "Power Users (c1)"
TASK = """
import json, sys
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
sys.path.insert(0, sys.argv[1])
from fakes.task_instance import FakeTaskInstance
operator = AmplitudeCohortToSegmentOperator(
    task_id="sync", cohort_id="c1", state_path=sys.argv[2], events_per_second=3, poll_interval=0.05
)
operator.execute({"ti": FakeTaskInstance()})
"""


def believed(sandbox: Sandbox, key: str = WRITE_KEY_DEFAULT) -> set[str]:
    return set(sandbox.segment.believes(key, TRAIT))


@pytest.fixture
def state_path(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER_STORE", s3_server.connection())
    return f"s3://ledger_store@{bucket}/amplitude-segment"


@pytest.fixture
def sync_on_s3(sync: Sync, state_path: str) -> Sync:
    def run(task_instance: FakeTaskInstance | None = None, **parameters: Any) -> dict[str, Any]:
        return sync(task_instance or FakeTaskInstance(), **{"state_path": state_path, **parameters})

    return run


@pytest.fixture
def own_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the task folders of its own to write to, as a worker has, and find them without a file at the end."""
    for name in ("home", "temporary", "working"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("airflow.configuration.AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "working")
    yield
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def ledger_of(state_path: str) -> dict[str, str]:
    """Where each object of the one ledger stands, by its name."""
    root = open_state_root(state_path)
    found = root.fs.find(root.path)
    return {path.rpartition("/")[2]: path for path in found}


@pytest.mark.usefixtures("own_disk")
def test_two_syncs_with_movers_between_leave_segment_right_and_the_worker_clean(
    sandbox: Sandbox, sync_on_s3: Sync, state_path: str
) -> None:
    sync_on_s3(FakeTaskInstance(run_id="first"))
    sandbox.amplitude.cohorts["c1"].user_ids = ["bob", "cat"]

    report = sync_on_s3(FakeTaskInstance(run_id="second"))

    assert believed(sandbox) == {"bob", "cat"}
    destination = report["destinations"][0]
    assert (destination["entered"], destination["exited"], destination["unchanged"]) == (1, 1, 1)
    assert sandbox.segment.identifies_received == 4
    assert {"claim-2.json", "commit-1.json", "commit-2.json", "current.json"} <= set(ledger_of(state_path))
    # The claim before and the plan before are pruned.
    assert not {"claim-1.json", "plan-1.json", "changes-1.parquet"} & set(ledger_of(state_path))


def test_only_the_last_commits_are_kept(
    sandbox: Sandbox, sync_on_s3: Sync, state_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__KEEP_SNAPSHOTS", "2")

    for number in range(1, 5):
        sandbox.amplitude.cohorts["c1"].user_ids = [f"user-{number}", "bob"]
        sync_on_s3(FakeTaskInstance(run_id=f"run-{number}"), max_exit_ratio=None)

    commits = {name for name in ledger_of(state_path) if name.startswith("commit-")}
    assert commits == {"commit-3.json", "commit-4.json"}
    assert believed(sandbox) == {"user-4", "bob"}


def test_a_retry_goes_on_with_the_export_and_the_plan_of_the_try_that_failed(
    sandbox: Sandbox, sync_on_s3: Sync
) -> None:
    sandbox.faults.add(Fault(on="segment.batch", status=501, apply=True, body=b"gone"))
    with pytest.raises(AirflowFailException):
        sync_on_s3(FakeTaskInstance(try_number=1))

    report = sync_on_s3(FakeTaskInstance(try_number=2))

    assert believed(sandbox) == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1
    # The second try sent the same plan, so Segment dropped its messages as copies.
    assert sandbox.segment.duplicates_dropped == 2
    assert (report["destinations"][0]["generation"], report["destinations"][0]["acknowledged"]) == (1, 2)


def test_a_task_process_killed_while_telling_is_gone_on_with_by_another_worker(
    sandbox: Sandbox, sync_on_s3: Sync, state_path: str, s3_server: S3Server
) -> None:
    users = [f"user{number}@example.com" for number in range(6_000)]
    sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", users)
    environment = {**os.environ, **sandbox.airflow_connections(), "AIRFLOW_CONN_LEDGER_STORE": s3_server.connection()}
    task = warm_python().start("-c", TASK, str(Path(__file__).parent.parent), state_path, environment=environment)
    while not sandbox.segment.batches:
        assert task.is_running(), task.wait()
    os.kill(task.pid, signal.SIGKILL)
    assert task.wait().returncode == -signal.SIGKILL
    assert believed(sandbox) < set(users)

    report = sync_on_s3(FakeTaskInstance(try_number=2), events_per_second=None)

    assert believed(sandbox) == set(users)
    assert sandbox.amplitude.exports_spent == 1
    assert report["destinations"][0]["committed"]


def test_a_deferred_sync_is_resumed_on_another_worker(sandbox: Sandbox, sync_on_s3: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1
    with pytest.raises(TaskDeferred) as deferred:
        sync_on_s3(deferrable=True)

    sync_on_s3(deferrable=True, event={"status": "completed", "request_id": deferred.value.trigger.request_id})

    assert believed(sandbox) == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1


def test_a_rival_run_is_refused_and_named_while_the_first_one_waits(sandbox: Sandbox, sync_on_s3: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1_000
    with pytest.raises(TaskDeferred):
        sync_on_s3(FakeTaskInstance(run_id="holder"), deferrable=True)

    with pytest.raises(ClaimHeldError, match="run 'holder'"):
        sync_on_s3(FakeTaskInstance(run_id="rival"))
    assert sandbox.amplitude.exports_spent == 1


def test_several_destinations_have_a_ledger_each(sandbox: Sandbox, sync_on_s3: Sync) -> None:
    report = sync_on_s3(segment_conn_id="segment_default, segment_emea")

    assert believed(sandbox) == believed(sandbox, WRITE_KEY_EMEA) == {"ann", "bob"}
    assert [destination["committed"] for destination in report["destinations"]] == [True, True]
    assert sandbox.amplitude.exports_spent == 1


def test_a_damaged_object_is_named_by_its_place_and_nothing_is_sent(
    sandbox: Sandbox, sync_on_s3: Sync, state_path: str
) -> None:
    sync_on_s3(FakeTaskInstance(run_id="first"))
    damaged = next(path for name, path in ledger_of(state_path).items() if name.startswith("snapshot-1"))
    open_state_root(state_path).fs.pipe_file(damaged, b"not what it was")

    with pytest.raises(AirflowFailException, match="another checksum") as failed:
        sync_on_s3(FakeTaskInstance(run_id="second"))
    assert isinstance(failed.value.__cause__, LedgerDamagedError)
    assert f"s3://ledger_store@{damaged}" in str(failed.value)
    assert sandbox.segment.identifies_received == 2


def test_the_file_of_rejected_users_stands_where_the_report_says(sandbox: Sandbox, sync_on_s3: Sync) -> None:
    sandbox.segment.poisoned = {"bob"}

    report = sync_on_s3(on_rejected="warn")

    assert "bob" in ObjectStoragePath(report["destinations"][0]["rejected_users"]).open("r").read()


def test_a_bucket_that_nobody_made_fails_before_an_export_is_spent(
    sandbox: Sandbox, sync_on_s3: Sync, s3_server: S3Server
) -> None:
    before = s3_server.buckets()

    with pytest.raises(AirflowFailException, match="NoSuchBucket") as failed:
        sync_on_s3(state_path="s3://ledger_store@nobody-made-this/state")
    assert isinstance(failed.value.__cause__, StatePathError)
    assert sandbox.amplitude.exports_spent == 0
    assert s3_server.buckets() == before


@pytest.mark.parametrize(
    ("header", "cure"),
    [("x-amz-checksum", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required"), ("if-none-match", "cannot hold a ledger")],
)
def test_a_store_that_refuses_a_header_fails_for_good_before_an_export_is_spent(
    sandbox: Sandbox, sync_on_s3: Sync, s3_server: S3Server, header: str, cure: str
) -> None:
    s3_server.refuse_headers(header, status=501, code="NotImplemented")
    try:
        with pytest.raises(AirflowFailException, match=cure) as failed:
            sync_on_s3()
    finally:
        s3_server.refuse_headers()
    assert isinstance(failed.value.__cause__, StatePathError)
    assert sandbox.amplitude.exports_spent == 0


def test_what_one_sync_asks_of_the_store_is_counted(sandbox: Sandbox, sync_on_s3: Sync, s3_server: S3Server) -> None:
    """Every request is paid for and waited for."""
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann"]
    s3_server.requests()

    sync_on_s3()

    # On a slow machine the claims are listed again, twice a second.
    assert len(s3_server.requests()) <= 50


def test_a_later_sync_moves_each_file_of_the_ledger_once(
    sandbox: Sandbox, sync_on_s3: Sync, s3_server: S3Server
) -> None:
    """It gets the state, puts the changes and the state after them, and gets nothing that it has just put."""
    sync_on_s3()
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann"]
    s3_server.requests()

    sync_on_s3(FakeTaskInstance(run_id="second"))

    requests = s3_server.requests()
    moved = [
        (request.split()[0], request.rsplit("/", 1)[1].split("-")[0])
        for request in requests
        if request.endswith(".parquet") and request.split()[0] in {"GET", "PUT"}
    ]
    assert moved == [("GET", "snapshot"), ("PUT", "changes"), ("PUT", "snapshot")]
    assert len(requests) <= 67


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAKEY:hush-hush@bucket/state",
        "s3://AKIAKEY:hush/hush@bucket/state",
        "AKIAKEY:hush-hush@bucket/state",
    ],
)
def test_a_url_with_a_password_is_refused_without_being_repeated(sandbox: Sandbox, sync: Sync, url: str) -> None:
    with pytest.raises(AirflowFailException, match=r"state_path: .* connection") as failed:
        sync(state_path=url)
    assert "hush" not in str(failed.value)
    assert sandbox.amplitude.exports_spent == 0


@pytest.mark.parametrize("url", ["s3://", "s3://ledger_store@", "s3:///state"])
def test_a_url_that_names_no_bucket_is_refused(sandbox: Sandbox, sync: Sync, url: str) -> None:
    with pytest.raises(AirflowFailException, match="names no bucket"):
        sync(state_path=url)
    assert sandbox.amplitude.exports_spent == 0


def test_a_state_path_with_its_scheme_in_capitals_is_the_same_place(
    sandbox: Sandbox, sync_on_s3: Sync, state_path: str
) -> None:
    sync_on_s3(FakeTaskInstance(run_id="first"), state_path=state_path.replace("s3://", "S3://"))

    report = sync_on_s3(FakeTaskInstance(run_id="second"))

    assert report["destinations"][0]["unchanged"] == 2
    assert believed(sandbox) == {"ann", "bob"}


def test_a_store_looked_at_twice_a_second_sees_a_rival_of_another_process(
    state_path: str, s3_server: S3Server, bucket: str
) -> None:
    """The file system is the one Airflow keeps for the process, with its cache."""
    store = LedgerStore(open_state_root(state_path))
    store.create("a/claim-1.json", b"ours")
    assert store.names("a") == ["claim-1.json"]

    s3_server.put(f"{bucket}/amplitude-segment/a/claim-2.json", json.dumps({}).encode())

    assert sorted(store.names("a")) == ["claim-1.json", "claim-2.json"]
