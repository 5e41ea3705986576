"""The operator over real HTTP: what Segment believes after it, and how it ends when it cannot."""

import csv
import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, TaskDeferred
from fakes.clock import FakeClock
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    ClaimHeldError,
    CohortArchivedError,
    CohortNotFoundError,
    ExportTimeoutError,
    GroupCohortError,
    RejectedUsersError,
)
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Fault,
    Sandbox,
    SandboxCohort,
)

TRAIT = "Power Users (c1)"
SAMPLES = Path(__file__).parent.parent / "samples"


def believed(sandbox: Sandbox, trait: str = TRAIT, key: str = WRITE_KEY_DEFAULT) -> set[str]:
    return set(sandbox.segment.believes(key, trait))


def test_a_cohort_reaches_segment_and_the_report_is_returned_and_left_as_an_xcom(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    report = sync()

    assert believed(sandbox) == {"ann", "bob"}
    assert ti.xcoms["sync_report"] == report
    assert json.loads(json.dumps(report)) == report
    assert (report["members"], report["anonymous"]) == (2, 1)
    destination = report["destinations"][0]
    assert destination["planned"] == destination["acknowledged"] + destination["rejected"] + destination["pending"]


def test_every_user_of_the_sample_arrives_to_the_last_character(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"] = SandboxCohort(
        "c1", "Power Users", [], raw_file=(SAMPLES / "plain.csv").read_bytes()
    )

    report = sync(events_per_second=None)

    with (SAMPLES / "plain.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["user_id"] for row in csv.DictReader(file) if row["user_id"].strip()}
    assert believed(sandbox) == expected
    assert report["members"] == 5000


def test_true_false_true_within_a_minute_ends_true(sandbox: Sandbox, sync: Sync) -> None:
    for members in (["ann", "bob"], ["bob"], ["ann", "bob"]):
        sandbox.amplitude.cohorts["c1"].user_ids = members
        sync(FakeTaskInstance(run_id=f"run-{len(sandbox.segment.batches)}"))

    assert believed(sandbox) == {"ann", "bob"}


def test_a_batch_whose_answer_was_lost_before_the_user_left_ends_right(sandbox: Sandbox, sync: Sync) -> None:
    """Segment took the batch, the answer never came, and the task was killed by its failing retries."""
    sandbox.faults.add(Fault(on="segment.batch", status=501, apply=True, body=b"gone"))
    with pytest.raises(AirflowFailException):
        sync(FakeTaskInstance(run_id="first"))
    assert believed(sandbox) == {"ann", "bob"}

    sandbox.amplitude.cohorts["c1"].user_ids = ["bob"]
    sync(FakeTaskInstance(run_id="second"))

    assert believed(sandbox) == {"bob"}


def test_two_destinations_from_one_export_both_get_everything(sandbox: Sandbox, sync: Sync) -> None:
    report = sync(segment_conn_id="segment_default, segment_emea")

    assert believed(sandbox) == believed(sandbox, key=WRITE_KEY_EMEA) == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1
    assert len(report["destinations"]) == 2


def test_connections_that_come_to_one_destination_are_told_once(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_TWIN", sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_DEFAULT"])

    report = sync(segment_conn_id=["segment_default", "segment_twin"])

    assert [d["segment_conn_id"] for d in report["destinations"]] == ["segment_default"]
    assert sandbox.segment.identifies_received == 2


@pytest.mark.parametrize(
    "names", ["user_id", ["plan", "amplitude_id"], 7, [7], ["a\tb"], [f"p{n}" for n in range(21)], '"plan', "a; b"]
)
def test_what_can_be_no_user_property_is_refused_before_anything_is_asked(
    sandbox: Sandbox, sync: Sync, names: Any
) -> None:
    with pytest.raises(AirflowFailException, match="user_properties"):
        sync(user_properties=names)

    assert sandbox.amplitude.exports_spent == 0


def test_names_that_were_pasted_with_quotation_marks_and_line_breaks_are_read(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].properties = {"ann": {"plan": "pro", "home, town": "Oslo"}}

    sync(segment_conn_id='"segment_default",\n"segment_emea"', user_properties="'plan'\n\"home, town\"\n")

    for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA):
        assert sandbox.segment.traits(key, "ann") == {TRAIT: True, "plan": "pro", "home, town": "Oslo"}


def test_user_properties_go_along_over_a_deferral_and_a_changed_value_is_told(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    cohort = sandbox.amplitude.cohorts["c1"]
    cohort.properties = {"ann": {"plan": "pro", "home town": "Ålesund"}, "bob": {}}
    parameters = {"user_properties": "plan, home town", "deferrable": True}
    with pytest.raises(TaskDeferred):
        sync(**parameters)
    sync(event={"status": "completed", "request_id": "r"}, **parameters)
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {TRAIT: True, "plan": "pro", "home town": "Ålesund"}
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "bob") == {TRAIT: True}

    cohort.properties["ann"] = {"plan": "free"}
    report = sync(FakeTaskInstance(run_id="second"), user_properties=["plan", "home town"])

    assert report["destinations"][0]["changed"] == report["destinations"][0]["planned"] == 1
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann")["plan"] == "free"
    assert not sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann").get("home town")
    assert '"pro"' not in json.dumps(ti.xcoms)


@pytest.mark.parametrize(
    ("cohort", "error"),
    [
        (None, CohortNotFoundError),
        (SandboxCohort("c1", "Old", ["ann"], archived=True), CohortArchivedError),
        (SandboxCohort("c1", "Accounts", ["acme"], group_type="Account"), GroupCohortError),
    ],
)
def test_a_cohort_that_cannot_be_synced_spends_no_export_and_is_not_retried(
    sandbox: Sandbox, sync: Sync, cohort: SandboxCohort | None, error: type[Exception]
) -> None:
    sandbox.amplitude.cohorts.pop("c1")
    if cohort is not None:
        sandbox.amplitude.cohorts["c1"] = cohort

    with pytest.raises(AirflowFailException, match="Nothing was sent") as failed:
        sync()

    assert isinstance(failed.value.__cause__, error)
    assert sandbox.amplitude.exports_spent == 0


@pytest.mark.parametrize("fault", ["truncated.csv.gz", "cut_in_a_quote.csv"])
def test_a_file_that_is_cut_off_is_retried_and_changes_nothing(sandbox: Sandbox, sync: Sync, fault: str) -> None:
    sync()
    sandbox.amplitude.cohorts["c1"].raw_file = (SAMPLES / fault).read_bytes()

    with pytest.raises(AmplitudeSegmentError) as failed:
        sync(FakeTaskInstance(run_id="cut"))

    assert failed.value.retryable
    assert believed(sandbox) == {"ann", "bob"}
    assert sandbox.segment.identifies_received == 2


@pytest.mark.parametrize("fault", ["error_page.csv", "not_utf8.csv", "group_cohort.csv", "empty.csv"])
def test_a_file_that_is_no_cohort_fails_for_good_and_a_cleared_task_asks_for_a_new_export(
    sandbox: Sandbox, sync: Sync, fault: str
) -> None:
    sandbox.amplitude.cohorts["c1"].raw_file = (SAMPLES / fault).read_bytes()
    with pytest.raises(AirflowFailException, match="is refused"):
        sync()

    sandbox.amplitude.cohorts["c1"].raw_file = None
    sync()
    assert sandbox.amplitude.exports_spent == 2


def test_a_wrong_key_says_that_the_region_may_be_wrong(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_AMPLITUDE_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT", json.dumps({**connection, "password": "wrong-secret"}))

    with pytest.raises(AirflowFailException, match="region") as failed:
        sync()
    assert "wrong-secret" not in str(failed.value)


@pytest.mark.parametrize("write_key", ["", "   "])
def test_a_missing_or_blank_write_key_is_named_as_the_form_names_it(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch, write_key: str
) -> None:
    connection = {"conn_type": "segmentio", "password": write_key, "host": sandbox.url}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(connection))

    with pytest.raises(AirflowFailException, match="Write key"):
        sync()
    assert sandbox.amplitude.exports_spent == 0


def test_a_write_key_that_segment_refuses_marks_nobody(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "segmentio", "password": "abc123", "host": sandbox.url}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(connection))

    with pytest.raises(AirflowFailException, match="Check write key"):
        sync()
    assert ti.xcoms["sync_report"]["destinations"][0]["rejected"] == 0


@pytest.mark.parametrize(
    "template", ["{cohort_name.__class__}", "{cohort_id!r}", "{size}", "{cohort_name:>9}", "{", "", "{0}"]
)
def test_a_trait_template_takes_two_plain_fields_and_nothing_else(sandbox: Sandbox, sync: Sync, template: str) -> None:
    with pytest.raises(AirflowFailException, match="trait_name"):
        sync(trait_name=template)
    assert sandbox.amplitude.exports_spent == 0


def test_a_state_path_that_cannot_be_written_fails_before_an_export_is_spent(
    sandbox: Sandbox, sync: Sync, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(AirflowFailException, match="state path"):
        sync(state_path=str(tmp_path / "file"))
    with pytest.raises(AirflowFailException, match="relative path"):
        sync(state_path="relative/path")
    assert sandbox.amplitude.exports_spent == 0


def test_rejected_users_end_the_task_after_everyone_else_is_committed(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    sandbox.segment.poisoned = {"bob"}

    with pytest.raises(AirflowFailException) as failed:
        sync()

    assert isinstance(failed.value.__cause__, RejectedUsersError)
    assert "bob" not in str(failed.value)
    assert believed(sandbox) == {"ann"}
    report = ti.xcoms["sync_report"]["destinations"][0]
    assert (report["rejected"], report["committed"]) == (1, True)
    assert "bob" in Path(report["rejected_users"]).read_text()


def test_waits_that_segment_asks_for_spend_no_retry(sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance) -> None:
    sandbox.faults.add(Fault(on="segment.batch", status=429, headers={"Retry-After": "0"}, times=3))
    clock = FakeClock()
    began = clock.now()

    sync(clock=clock)

    assert clock.now() - began > 3
    assert believed(sandbox) == {"ann", "bob"}
    assert ti.xcoms["sync_report"]["destinations"][0]["retries"] == 3


def test_a_skipped_sync_ends_as_skipped(sandbox: Sandbox, sync: Sync) -> None:
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = []

    with pytest.raises(AirflowSkipException, match="Nothing was sent"):
        sync(FakeTaskInstance(run_id="empty"), on_empty_cohort="skip")
    assert believed(sandbox) == {"ann", "bob"}


def test_an_export_that_does_not_complete_in_time_is_waited_for_by_the_next_try(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 5
    with pytest.raises(ExportTimeoutError) as failed:
        sync(export_timeout=0.1)
    assert failed.value.request_id in str(failed.value)
    assert ti.xcoms["sync_report"]["destinations"][0]["error"] == str(failed.value)

    sync()
    assert sandbox.amplitude.exports_spent == 1


def test_a_deferred_sync_is_resumed_by_a_new_process_with_the_same_export(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1
    with pytest.raises(TaskDeferred) as deferred:
        sync(deferrable=True)
    assert sandbox.segment.identifies_received == 0

    sync(deferrable=True, event={"status": "completed", "request_id": deferred.value.trigger.request_id})

    assert believed(sandbox) == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1


def test_a_trigger_is_handed_a_length_and_no_moment_of_the_workers_clock(sync: Sync) -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sync(deferrable=True, export_timeout=90)
    _, arguments = deferred.value.trigger.serialize()
    assert {value for value in arguments.values() if isinstance(value, float)} == {0.05, 90}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"status": "timeout", "request_id": "x1"}, ExportTimeoutError),
        (
            {"status": "error", "retryable": True, "request_id": "x1", "message": "ConnectionError"},
            AmplitudeSegmentError,
        ),
    ],
)
def test_a_deferral_in_vain_gives_its_claim_back_and_leaves_a_report(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance, event: dict[str, object], error: type[Exception]
) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1_000
    with pytest.raises(TaskDeferred):
        sync(deferrable=True)
    other = FakeTaskInstance(run_id="other")
    with pytest.raises(ClaimHeldError):
        sync(other, deferrable=True)

    with pytest.raises(error):
        sync(deferrable=True, event=event)
    assert ti.xcoms["sync_report"]["destinations"][0]["error"]

    with pytest.raises(TaskDeferred):
        sync(other, deferrable=True)


def test_an_export_that_amplitude_gave_up_is_replaced_when_the_task_is_cleared(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.faults.add(Fault(on="amplitude.status", status=410, body=b"gone"))
    with pytest.raises(AirflowFailException, match="Clear the task to request a new one"):
        sync()

    sync()

    assert sandbox.amplitude.exports_spent == 2
    assert believed(sandbox) == {"ann", "bob"}


@pytest.mark.parametrize("parameter", ["amplitude_conn_id", "segment_conn_id"])
def test_a_connection_that_nobody_made_is_named_and_not_retried(sandbox: Sandbox, sync: Sync, parameter: str) -> None:
    with pytest.raises(AirflowFailException, match="nobody_made_this"):
        sync(**{parameter: "nobody_made_this"})
    assert sandbox.amplitude.exports_spent == 0


@pytest.mark.parametrize(
    "extra", ['{"destination_id": "emea",}', "[1]", '{"region": ["EU"]}', '{"destination_id": 5.0}']
)
def test_an_extra_that_cannot_be_read_is_refused_and_not_taken_for_empty(
    sandbox: Sandbox, sync: Sync, monkeypatch: pytest.MonkeyPatch, extra: str
) -> None:
    """Taken for empty it would make another destination, whose leavers stay members."""
    connection = {"conn_type": "segmentio", "password": "w" * 32, "host": sandbox.url, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(connection))

    # Airflow 3.0 and 3.1 refuse some of these themselves.
    with pytest.raises(AirflowFailException, match=r"Extra|cannot read it"):
        sync()
    assert sandbox.amplitude.exports_spent == 0


def test_a_guard_shows_of_the_run_configuration_only_what_the_dag_takes(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = []
    ti.run_id = "second"
    ti.conf = {"cohort_id": "c1", "token": "hush", "users": ["ann"]}
    ti.params = {"cohort_id": "c1", "on_empty_cohort": "fail"}

    with pytest.raises(AirflowFailException) as failed:
        sync()
    assert '{"cohort_id": "c1", "on_empty_cohort": "sync"}' in str(failed.value)
    assert "hush" not in str(failed.value)


def test_a_refused_file_is_named_by_its_export_and_says_what_to_do(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].raw_file = b"<html>"
    with pytest.raises(
        AirflowFailException, match=r"The file of export \w+ is refused: no user_id column\..*Check the cohort"
    ):
        sync()


def test_state_files_are_readable_by_their_owner_alone(sync: Sync, tmp_path: Path) -> None:
    sync()

    for path in (tmp_path / "state").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_no_user_and_no_secret_is_logged(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Core logs through the standard library, the operator on Airflow 3 through structlog, which prints."""
    caplog.set_level(logging.DEBUG)
    sandbox.amplitude.cohorts["c1"].user_ids = ["carla-4711", "poisoned-0815"]
    sandbox.segment.poisoned = {"poisoned-0815"}

    sync(on_rejected="warn")

    secrets = [json.loads(value).get("password") for value in sandbox.airflow_connections().values()]
    logged = caplog.text + "".join(capsys.readouterr())
    assert "2 entered" in logged
    for hidden in ("carla-4711", "poisoned-0815", *secrets):
        assert hidden not in logged


def test_rendered_parameters_arrive_as_text(sandbox: Sandbox, sync: Sync) -> None:
    report = sync(
        segment_conn_id="['segment_default']",
        sync_mode="full",
        dry_run="False",
        max_exit_ratio="None",
        events_per_second="",
        max_concurrent_requests="2",
        integrations='{"All": false}',
        events="at-least-once",
        event_names="Joined, Left",
        events_on_first_sync="True",
        export_timeout="60",
        cohort_files="None",
    )

    assert believed(sandbox) == {"ann", "bob"}
    assert report["destinations"][0]["mode"] == "full"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cohort_id": 12e4567}, "render_template_as_native_obj"),
        ({"cohort_id": ""}, "cohort_id"),
        ({"segment_conn_id": " , "}, "segment_conn_id"),
        ({"sync_mode": "sometimes"}, "'incremental' or 'full'"),
        ({"max_exit_ratio": "1.5"}, "from 0 to 1"),
        ({"max_concurrent_requests": 0}, "whole number from 1"),
        ({"events_per_second": "fast"}, "events_per_second"),
        ({"dry_run": "perhaps"}, "True or False"),
        ({"integrations": "[1]"}, "integrations"),
        ({"on_rejected": None}, "on_rejected"),
        ({"cohort_files": 7}, "a URL of a folder"),
        ({"events": "sometimes"}, "True, False or 'at-least-once'"),
        ({"event_names": "Cohort Entered"}, "two different names"),
        ({"event_names": ["Moved", "Moved"]}, "two different names"),
        ({"event_names": {"entered": "Joined", "left": "Left"}}, "keys entered and exited"),
        ({"events_on_first_sync": "perhaps"}, "events_on_first_sync"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_it_got_and_what_it_takes(
    sandbox: Sandbox, sync: Sync, parameters: dict[str, object], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        sync(**parameters)
    assert sandbox.amplitude.exports_spent == 0


def test_a_cohort_id_that_arrives_as_an_integer_is_taken_as_text(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["1234567"] = SandboxCohort("1234567", "Numbers", ["ann"])

    sync(cohort_id=1234567)

    assert believed(sandbox, "Numbers (1234567)") == {"ann"}


def test_the_quota_guard_spends_nothing_and_fails_for_good_with_what_lets_the_sync_through(
    sandbox: Sandbox, sync: Sync
) -> None:
    sandbox.amplitude.used_this_month = 485

    with pytest.raises(AirflowFailException, match="15 of this month's exports are left") as failed:
        sync(min_exports_left="20")

    assert 'with the configuration {"min_exports_left": 0}. ' in str(failed.value)
    assert sandbox.amplitude.exports_spent == 0
    sync(FakeTaskInstance(run_id="let through"), min_exports_left=0)
    assert believed(sandbox) == {"ann", "bob"}


@pytest.mark.parametrize("answer", [{"status": 404}, {"status": 200, "body": b'{"left": "many"}'}, {"reset": True}])
def test_a_usage_endpoint_that_is_missing_or_says_something_else_only_logs(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, answer: dict[str, Any]
) -> None:
    sandbox.faults.add(Fault(on="amplitude.usage", times=10, **answer))

    sync(clock=FakeClock(), min_exports_left=20)

    assert believed(sandbox) == {"ann", "bob"}
    assert "does not report how many exports are left" in caplog.text
