"""Publishing the result of a try does not change how the sync ended."""

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import ExportWaitError
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox


class ForgetfulTaskInstance(FakeTaskInstance):
    """Airflow's API server fails whenever something is pushed."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise RuntimeError(f"503: {key}, {len(str(value))} characters")


def test_a_sync_whose_report_cannot_be_pushed_is_committed_and_returns_it(sandbox: Sandbox, sync: Sync) -> None:
    report = sync(ForgetfulTaskInstance(), skip_when_unchanged=True)

    assert (report["destinations"][0]["entered"], report["destinations"][0]["committed"]) == (2, True)
    assert sandbox.compare("c1").equal


def test_what_no_retry_cures_leaves_as_such_although_the_report_cannot_be_pushed(sandbox: Sandbox, sync: Sync) -> None:
    """Else Airflow would retry, and each try would spend an export."""
    sync(FakeTaskInstance("first"))
    sandbox.amplitude.cohorts["c1"].user_ids = []

    with pytest.raises(AirflowFailException, match="on_empty_cohort"):
        sync(ForgetfulTaskInstance("second"))


def test_the_summary_of_a_try_that_came_to_no_comparison_does_not_say_that_nobody_moved(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sandbox.faults.add(Fault(on="amplitude.list", status=403, times=9))

    with pytest.raises(AirflowFailException):
        sync()

    assert "segment_default: not compared. Not finished" in caplog.text
    assert "no changes" not in caplog.text
    assert "same export" not in caplog.text


def test_what_failed_in_the_triggerer_is_not_said_of_amplitude(sync: Sync) -> None:
    event = {"status": "error", "request_id": "R1", "message": "Waiting failed: OperationalError.", "retryable": True}

    with pytest.raises(ExportWaitError, match="Waiting for export R1 in the triggerer") as failed:
        sync(event=event, deferrable=True)

    assert failed.value.retryable
