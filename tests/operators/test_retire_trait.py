"""The retire operator over real HTTP: what Segment believes after it, and what is left of the state."""

from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import (
    LedgerNotFoundError,
    RejectedUsersError,
    SegmentRefusedError,
    SettingError,
    SyncStoppedError,
)
from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Fault, Sandbox

if TYPE_CHECKING:
    from fakes.s3_server import S3Server

TRAIT = "Power Users (c1)"


def believed(sandbox: Sandbox, key: str = WRITE_KEY_DEFAULT) -> set[str]:
    return set(sandbox.segment.believes(key, TRAIT))


def files_that_name(folder: Path, *user_ids: str) -> list[str]:
    """Names of the files below a folder that hold a user ID, Parquet or not."""
    named = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if content.startswith(b"PAR1"):
            content = repr(duckdb.sql(f"FROM read_parquet('{path}')").fetchall()).encode()
        if any(user.encode() in content for user in user_ids):
            named.append(path.name)
    return named


def test_a_deleted_cohort_is_taken_back_from_everyone_without_amplitude(
    sandbox: Sandbox, sync: Sync, retire: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    sandbox.amplitude.cohorts.clear()
    monkeypatch.delenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT")
    ti = FakeTaskInstance(run_id="retire")

    report = retire(ti)

    assert believed(sandbox) == set()
    assert ti.xcoms["sync_report"] == report == json.loads(json.dumps(report))
    (part,) = report["destinations"]
    assert (part["mode"], part["planned"], part["acknowledged"], part["pending"]) == ("retire", 2, 2, 0)
    assert ti.xcoms[f"amplitude_segment:c1:{part['destination']}"] == part["generation"]


def test_no_user_is_named_in_the_state_afterwards(sync: Sync, retire: Sync, tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", "bob@example.com"]
    sync()
    sync(FakeTaskInstance(run_id="dry"), dry_run=True, sync_mode="full")
    assert len(files_that_name(tmp_path / "state", "@example.com")) == 3

    retire()

    assert files_that_name(tmp_path / "state", "@example.com") == []


def test_every_destination_is_retired_in_one_task(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync(segment_conn_id="segment_default, segment_emea")

    report = retire(segment_conn_id='["segment_default", "segment_emea"]')

    assert believed(sandbox) == believed(sandbox, WRITE_KEY_EMEA) == set()
    assert [d["acknowledged"] for d in report["destinations"]] == [2, 2]


def test_a_cohort_can_be_synced_again_afterwards_as_for_the_first_time(
    sandbox: Sandbox, sync: Sync, retire: Sync, ti: FakeTaskInstance
) -> None:
    """The sync's task remembers the generation that it left; the ledger is never behind it."""
    sync(ti)
    retire()
    again = FakeTaskInstance(run_id="again")
    again.remembered = {key: value for key, value in ti.xcoms.items() if key.startswith("amplitude_segment:")}
    assert again.remembered

    (destination,) = sync(again)["destinations"]

    assert (destination["entered"], destination["exited"], destination["unchanged"]) == (2, 0, 0)
    assert believed(sandbox) == {"ann", "bob"}


def test_a_second_run_finds_nobody_and_succeeds(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()
    first = FakeTaskInstance(run_id="first")
    retire(first)
    received = sandbox.segment.identifies_received
    second = FakeTaskInstance(run_id="second")
    second.remembered = {key: value for key, value in first.xcoms.items() if key.startswith("amplitude_segment:")}

    (destination,) = retire(second)["destinations"]

    assert (destination["planned"], destination["committed"], destination["error"]) == (0, True, None)
    assert sandbox.segment.identifies_received == received


def test_a_dry_run_sends_nothing(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()

    (destination,) = retire(dry_run="True")["destinations"]

    assert believed(sandbox) == {"ann", "bob"}
    assert destination["planned"] == 2
    listed = Path(destination["planned_changes"]).read_text(encoding="utf-8")
    assert listed.splitlines() == ["trait,user_id,value", f"{TRAIT},ann,false", f"{TRAIT},bob,false"]


def test_a_batch_whose_answer_was_lost_is_sent_again_under_the_same_ids(
    sandbox: Sandbox, sync: Sync, retire: Sync
) -> None:
    sync()
    # 501 is not retried within a try.
    sandbox.faults.add(Fault(on="segment.batch", status=501, apply=True, body=b"gone"))
    with pytest.raises(AirflowFailException):
        retire(FakeTaskInstance(run_id="retire"))

    retire(FakeTaskInstance(run_id="retire", try_number=2))

    assert believed(sandbox) == set()
    assert sandbox.segment.duplicates_dropped == 2


def test_users_whom_segment_refuses_fail_the_task_after_all_others_were_told(
    sandbox: Sandbox, sync: Sync, retire: Sync, tmp_path: Path
) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", "bob@example.com"]
    sync()
    sandbox.segment.poisoned = {"bob@example.com"}

    with pytest.raises(AirflowFailException, match=r"rejected 1 user\..*reasons in .*rejected") as failed:
        retire()

    assert isinstance(failed.value.__cause__, RejectedUsersError)
    assert believed(sandbox) == {"bob@example.com"}
    assert files_that_name(tmp_path / "state", "ann@example.com") == []
    assert files_that_name(tmp_path / "state", "bob@example.com")


def test_a_segment_that_refuses_us_forgets_nobody(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()
    sandbox.faults.add(Fault(on="segment.batch", status=401))
    with pytest.raises(AirflowFailException) as failed:
        retire()
    assert isinstance(failed.value.__cause__, SegmentRefusedError)

    assert retire(FakeTaskInstance(run_id="again"))["destinations"][0]["acknowledged"] == 2
    assert believed(sandbox) == set()


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"cohort_id": "c9"}, LedgerNotFoundError, r"ledgers of cohort c1\. Nothing was sent"),
        ({"segment_conn_id": "segment_emea"}, LedgerNotFoundError, "connection 'segment_default'"),
        ({"app_id": "1"}, LedgerNotFoundError, "Amplitude app 187520"),
        ({"cohort_id": ""}, SettingError, "cohort_id"),
        ({"cohort_id": 1.5}, SettingError, "render_template_as_native_obj"),
        ({"on_rejected": "maybe"}, SettingError, "'fail' or 'warn'"),
        ({"on_missing_state": "maybe"}, SettingError, "'fail' or 'full'"),
        ({"dry_run": "perhaps"}, SettingError, "dry_run"),
        ({"events_per_second": "0"}, SettingError, "events_per_second"),
        ({"max_concurrent_requests": "33"}, SettingError, "max_concurrent_requests"),
        ({"app_id": 1.5}, SettingError, "app_id"),
        ({"integrations": "[]"}, SettingError, "integrations"),
    ],
)
def test_what_cannot_be_retired_fails_at_once_and_nothing_is_sent(
    sandbox: Sandbox, sync: Sync, retire: Sync, parameters: dict[str, object], error: type[Exception], said: str
) -> None:
    sync()

    with pytest.raises(AirflowFailException, match=said) as failed:
        retire(**parameters)

    assert isinstance(failed.value.__cause__, error)
    assert believed(sandbox) == {"ann", "bob"}


def test_what_was_rendered_to_text_is_read(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync(integrations={"All": False})

    retire(
        segment_conn_id="segment_default",
        integrations='{"All": false}',
        segment_context="{'campaign': {'name': 'retire'}}",
        events_per_second="None",
        max_concurrent_requests="2",
        dry_run="no",
        app_id="187520",
    )

    assert believed(sandbox) == set()


def test_a_ledger_on_s3_is_retired_to_the_last_name(
    sandbox: Sandbox,
    sync: Sync,
    retire: Sync,
    s3_server: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER_STORE", s3_server.connection())
    state_path = f"s3://ledger_store@{bucket}/amplitude-segment"
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann@example.com", "bob@example.com"]
    sync(state_path=state_path)
    sync(FakeTaskInstance(run_id="dry"), state_path=state_path, dry_run=True)

    retire(state_path=state_path)

    assert believed(sandbox) == set()
    root = ObjectStoragePath(state_path)
    for number, path in enumerate(path for path in root.rglob("*") if path.is_file()):
        (tmp_path / str(number)).write_bytes(path.read_bytes())
    assert len(list(tmp_path.iterdir())) >= 4
    assert files_that_name(tmp_path, "@example.com") == []
    assert retire(FakeTaskInstance(run_id="again"), state_path=state_path)["destinations"][0]["planned"] == 0


def test_no_user_and_no_secret_is_logged(
    sandbox: Sandbox,
    sync: Sync,
    retire: Sync,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Core logs through the standard library, the operator on Airflow 3 through structlog, which prints."""
    sandbox.amplitude.cohorts["c1"].user_ids = ["carla-4711", "poisoned-0815"]
    sync(segment_conn_id=["segment_default", "segment_emea"])
    caplog.set_level(logging.DEBUG)
    sandbox.segment.poisoned = {"poisoned-0815"}

    report = retire(on_rejected="warn")

    keys = [json.loads(value).get("password") for value in sandbox.airflow_connections().values()]
    logged = caplog.text + "".join(capsys.readouterr()) + json.dumps(report)
    assert "2 users will be sent false" in logged
    assert "also synced to other destinations" in logged
    for hidden in ("carla-4711", "poisoned-0815", *keys):
        assert hidden not in logged


def test_a_task_that_is_stopped_gives_its_claim_back_and_is_gone_on_with(
    sandbox: Sandbox, sync: Sync, tmp_path: Path
) -> None:
    users = [f"user{number}" for number in range(8_000)]
    sandbox.amplitude.cohorts["c1"].user_ids = users
    sync(events_per_second=None)
    sandbox.faults.add(Fault(on="segment.batch", apply=True, delay_seconds=0.2, times=50))
    operator = AmplitudeCohortTraitRetireOperator(
        task_id="retire",
        cohort_id="c1",
        state_path=str(tmp_path / "state"),
        events_per_second=None,
        max_concurrent_requests=1,
    )
    ti = FakeTaskInstance(run_id="retire")
    ti.task_id = "retire"
    taken = sandbox.segment.batches_received

    def stop() -> None:
        while sandbox.segment.batches_received == taken:
            time.sleep(0.002)
        operator.on_kill()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(SyncStoppedError):
        operator.execute({"ti": ti})
    stopping.join()
    assert believed(sandbox)
    # Another run is let in at once.
    other = FakeTaskInstance(run_id="other")
    other.task_id = "retire"

    operator.execute({"ti": other})

    assert believed(sandbox) == set()
