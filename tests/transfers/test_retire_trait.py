"""The retire operator over real HTTP: what Segment believes after it, and what is left of the state."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import (
    LedgerNotFoundError,
    RejectedUsersError,
    SegmentRefusedError,
    SettingError,
)
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Fault, Sandbox
from airflow_provider_amplitude_segment.transfers.retire_trait import AmplitudeCohortTraitRetireOperator

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
    (told,) = report["destinations"]
    assert (told["mode"], told["planned"], told["acknowledged"], told["pending"]) == ("retire", 2, 2, 0)
    assert ti.xcoms[f"amplitude_segment:c1:{told['destination']}"] == told["generation"]


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

    (told,) = sync(again)["destinations"]

    assert (told["entered"], told["exited"], told["unchanged"]) == (2, 0, 0)
    assert believed(sandbox) == {"ann", "bob"}


def test_a_second_run_finds_nobody_and_succeeds(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()
    first = FakeTaskInstance(run_id="first")
    retire(first)
    received = sandbox.segment.identifies_received
    second = FakeTaskInstance(run_id="second")
    second.remembered = {key: value for key, value in first.xcoms.items() if key.startswith("amplitude_segment:")}

    (told,) = retire(second)["destinations"]

    assert (told["planned"], told["committed"], told["error"]) == (0, True, None)
    assert sandbox.segment.identifies_received == received


def test_a_dry_run_sends_nothing(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()

    (told,) = retire(dry_run="True")["destinations"]

    assert believed(sandbox) == {"ann", "bob"}
    assert told["planned"] == 2
    listed = Path(told["planned_changes"]).read_text(encoding="utf-8")
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

    with pytest.raises(AirflowFailException, match=r"1 users could not be told.*rejected") as failed:
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


def test_every_parameter_is_a_template() -> None:
    operator = AmplitudeCohortTraitRetireOperator(task_id="retire", cohort_id="c1")

    assert all(hasattr(operator, field) for field in operator.template_fields)
