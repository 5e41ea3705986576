"""The verify operator over real HTTP: what Segment lost is found, healed, and gone after the next sync."""

from __future__ import annotations

import csv
import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from fakes.clock import FakeClock
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import (
    LedgerNotFoundError,
    MismatchError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
    SettingError,
)
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault, Sandbox
from airflow_provider_amplitude_segment.triggers.settle import SegmentSettleTrigger

TRAIT = "Power Users (c1)"


def clock_of_now() -> FakeClock:
    clock = FakeClock()
    clock.seconds = time.time()
    return clock


def part(report: dict[str, Any]) -> dict[str, Any]:
    return report["destinations"][0]


def test_a_synced_cohort_is_proved_by_counts_and_by_users(sandbox: Sandbox, sync: Sync, verify: Sync) -> None:
    sync()
    ti = FakeTaskInstance(run_id="verify")

    report = verify(ti)

    assert ti.xcoms["verify_report"] == report == json.loads(json.dumps(report))
    found = part(report)
    assert (found["sampled"], found["matched"], found["ratio"], found["upper_bound"]) == (2, 2, 0.0, 0.0)
    assert (found["acknowledged"], found["received"], found["failed"], found["filtered"]) == (2, 2, {}, {})
    assert (found["members"], found["suppressed_members"], found["error"]) == (2, 0, None)
    assert found["source_id"] == sandbox.segment.sources[WRITE_KEY_DEFAULT].source_id


@pytest.mark.parametrize("overview", ["delivery overview", "event volume"])
def test_events_are_not_counted_as_identifies(sandbox: Sandbox, sync: Sync, verify: Sync, overview: str) -> None:
    """Three identifies and three events arrive in the same minute."""
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "bob", "cat"]
    sync(events=True, events_on_first_sync=True)
    if overview == "event volume":
        sandbox.faults.add(Fault(on="segment.overview", status=403, times=1))

    found = part(verify())

    assert (sandbox.segment.messages_received, sandbox.faults.pending) == (6, [])
    assert (found["acknowledged"], found["received"], found["mismatches"]) == (3, 3, 0)


def test_five_percent_lost_behind_a_200_are_found_healed_and_then_there(
    sandbox: Sandbox, sync: Sync, verify: Sync
) -> None:
    users = [f"user{number}@example.com" for number in range(400)]
    sandbox.amplitude.cohorts["c1"].user_ids = users
    sandbox.segment.loses = 0.05
    # The test's time passes faster than the sandbox's.
    sandbox.segment.profile_api.requests_per_second = None
    sync()
    lost = set(users) - sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)
    assert lost
    ti = FakeTaskInstance(run_id="verify")

    with pytest.raises(AirflowFailException) as failed:
        verify(ti, heal="True", clock=clock_of_now())

    error = failed.value.__cause__
    assert isinstance(error, MismatchError)
    found = part(ti.xcoms["verify_report"])
    assert (found["sampled"], found["absent"], found["healed"], error.healed) == (400, *[len(lost)] * 3)
    with Path(found["mismatched_users"]).open(newline="") as file:
        assert {row["user_id"] for row in csv.DictReader(file)} == lost
    sandbox.segment.loses = 0.0

    (destination,) = sync(FakeTaskInstance(run_id="next"))["destinations"]

    assert (destination["planned"], destination["in_doubt"]) == (len(lost), len(lost))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set(users)
    clean = part(verify(FakeTaskInstance(run_id="again"), clock=clock_of_now()))
    assert (clean["matched"], clean["mismatches"], clean["healed"]) == (400, 0, 0)


def test_suppressed_users_are_no_mismatch(sandbox: Sandbox, sync: Sync, verify: Sync) -> None:
    sandbox.segment.suppressed = {"ann"}
    sync()

    found = part(verify())

    assert (found["members"], found["suppressed_members"], found["suppressed"], found["matched"]) == (2, 1, 1, 1)


def test_ids_in_two_cases_and_ids_with_signs_are_read(sandbox: Sandbox, sync: Sync, verify: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["a+b@example.com", "ü/ö?#%", "Ann", "ann"]
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = ["a+b@example.com", "ü/ö?#%", "Ann"]
    sync(FakeTaskInstance(run_id="next"))

    found = part(verify())

    assert (found["sampled"], found["mismatches"], found["unreadable"]) == (4, 0, 0)
    assert found["matched"] + found["shares_profile"] == 4


def test_a_trait_key_with_a_comma_is_paged_for(sandbox: Sandbox, sync: Sync, verify: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].name = "Power, Users"
    sync()

    assert part(verify())["matched"] == 2


def test_several_destinations_are_verified_in_one_task(sync: Sync, verify: Sync) -> None:
    sync(segment_conn_id=["segment_default", "segment_emea"])

    report = verify(segment_conn_id="segment_default, segment_emea")

    assert [found["matched"] for found in report["destinations"]] == [2, 2]


def test_the_wait_until_segment_has_settled_holds_no_slot(sync: Sync, verify: Sync) -> None:
    sync()
    ti = FakeTaskInstance(run_id="verify")

    with pytest.raises(TaskDeferred) as deferred:
        verify(ti, settle_seconds=90, deferrable=True)

    assert isinstance(deferred.value.trigger, SegmentSettleTrigger)
    _, arguments = deferred.value.trigger.serialize()
    assert set(arguments) == {"seconds", "until"}
    assert 0 < arguments["seconds"] <= 90
    # A triggerer may begin the wait again, and still be in time.
    assert deferred.value.timeout is not None
    assert deferred.value.timeout.total_seconds() >= 2 * arguments["seconds"] + 60
    assert "verify_report" not in ti.xcoms
    clock = clock_of_now()
    began = clock.now()
    assert part(verify(ti, resumed=True, settle_seconds=90, deferrable=True, clock=clock))["matched"] == 2
    assert clock.now() - began < arguments["seconds"] / 2, "it waits again, in a slot"


def test_without_deferral_the_task_waits_itself(sync: Sync, verify: Sync) -> None:
    sync()
    clock = clock_of_now()
    began = clock.now()

    verify(settle_seconds=90, clock=clock)

    assert clock.now() - began > 60


def test_an_api_that_is_down_for_a_moment_is_waited_for(sandbox: Sandbox, sync: Sync, verify: Sync) -> None:
    sync()
    sandbox.faults.add(Fault(on="segment.profile", status=503, times=3))

    assert part(verify(clock=clock_of_now()))["matched"] == 2


def test_an_api_that_stays_down_fails_the_task_retryable_with_what_it_knows(
    sandbox: Sandbox, sync: Sync, verify: Sync
) -> None:
    sync()
    sandbox.faults.add(Fault(on="segment.profile", status=503, times=10_000))
    ti = FakeTaskInstance(run_id="verify")

    with pytest.raises(SegmentApiUnavailableError):
        verify(ti, clock=clock_of_now())

    found = part(ti.xcoms["verify_report"])
    assert (found["received"], found["sampled"], found["unanswered"]) == (2, 2, 2)
    assert "503" in found["error"]


def test_a_wrong_token_is_refused_without_a_retry(
    sandbox: Sandbox, sync: Sync, verify: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    connection = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_API_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_API_DEFAULT", json.dumps({**connection, "password": "wrong-token"}))
    ti = FakeTaskInstance(run_id="verify")

    with pytest.raises(AirflowFailException) as failed:
        verify(ti)

    assert isinstance(failed.value.__cause__, SegmentApiRefusedError)
    # The Profile API has a token of its own, so the users were asked for.
    assert part(ti.xcoms["verify_report"])["matched"] == 2


def test_a_connection_without_a_space_proves_counts_only(
    sandbox: Sandbox, sync: Sync, verify: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    connection = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_API_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_API_DEFAULT", json.dumps({**connection, "extra": {}}))

    found = part(verify())

    assert (found["sampled"], found["ratio"], found["received"]) == (None, None, 2)


def test_a_connection_that_names_no_public_api_is_a_setting_to_correct(
    sandbox: Sandbox, sync: Sync, verify: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_DEFAULT"])

    with pytest.raises(AirflowFailException, match="'segment_default', field 'Public API connection ID'") as failed:
        verify()

    assert isinstance(failed.value.__cause__, SettingError)


def test_a_public_api_connection_of_another_type_is_named_before_its_password_is_sent(
    sandbox: Sandbox, sync: Sync, verify: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync()
    asked = sandbox.segment.public_api.requests
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_API_DEFAULT", sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_EMEA"])

    with pytest.raises(AirflowFailException, match="'segment_api_default' is of type 'segmentio'") as failed:
        verify()

    assert isinstance(failed.value.__cause__, SettingError)
    assert sandbox.segment.public_api.requests == asked


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"cohort_id": "c9"}, LedgerNotFoundError, "ledgers of cohort c1"),
        ({"segment_conn_id": "segment_emea"}, LedgerNotFoundError, "connection 'segment_default'"),
        ({"app_id": "1"}, LedgerNotFoundError, "Amplitude app 187520"),
        ({"cohort_id": ""}, SettingError, "cohort_id"),
        ({"sample_size": "0"}, SettingError, "sample_size"),
        ({"sample_size": "1.5"}, SettingError, "sample_size"),
        ({"max_mismatch_ratio": "2"}, SettingError, "max_mismatch_ratio"),
        ({"settle_seconds": "-1"}, SettingError, "settle_seconds"),
        ({"recheck_seconds": "soon"}, SettingError, "recheck_seconds"),
        ({"heal": "perhaps"}, SettingError, "heal"),
        ({"integrations": "[]"}, SettingError, "integrations"),
        ({"deferrable": "perhaps"}, SettingError, "deferrable"),
    ],
)
def test_what_cannot_be_verified_fails_at_once(
    sync: Sync, verify: Sync, parameters: dict[str, object], error: type[Exception], said: str
) -> None:
    sync()

    with pytest.raises(AirflowFailException, match=said) as failed:
        verify(**parameters)

    assert isinstance(failed.value.__cause__, error)


def test_what_was_rendered_to_text_is_read(sync: Sync, verify: Sync) -> None:
    sync(integrations={"All": False})

    report = verify(
        segment_conn_id='["segment_default"]',
        sample_size="10",
        max_mismatch_ratio="0.5",
        settle_seconds="0",
        recheck_seconds="0",
        heal="no",
        integrations='{"All": false}',
        app_id="187520",
    )

    assert (report["sample_size"], report["max_mismatch_ratio"], part(report)["matched"]) == (10, 0.5, 2)


def test_no_user_and_no_secret_is_logged_or_passed_on(
    sandbox: Sandbox,
    sync: Sync,
    verify: Sync,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["carla-4711", "Lost-0815"]
    sandbox.segment.loses_users = {"Lost-0815"}
    sync()
    sandbox.segment.suppressed = {"suppressed-1"}
    caplog.set_level(logging.DEBUG)
    ti = FakeTaskInstance(run_id="verify")

    with pytest.raises(AirflowFailException) as failed:
        verify(ti, heal=True, recheck_seconds=10, clock=clock_of_now())

    logged = caplog.text + "".join(capsys.readouterr()) + json.dumps(ti.xcoms) + str(failed.value)
    assert "1 of 2 users match" in logged
    profiles = sandbox.segment.profile_api
    for hidden in (
        "carla-4711",
        "lost-0815",
        "suppressed-1",
        WRITE_KEY_DEFAULT,
        sandbox.segment.public_api.token,
        profiles.token,
    ):
        assert hidden not in logged.lower() or hidden not in logged


def test_a_user_that_is_erased_is_taken_out_of_the_list(
    sandbox: Sandbox, sync: Sync, verify: Sync, retire: Sync, tmp_path: Path
) -> None:
    sandbox.segment.loses_users = {"ann"}
    sync()
    verify(max_mismatch_ratio=1)
    (listed,) = (tmp_path / "state").rglob("verification/*.csv")
    assert "ann" in listed.read_text()

    retire()

    assert not listed.exists()
