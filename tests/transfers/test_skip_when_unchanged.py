"""``skip_when_unchanged``: the task ends skipped when there is no news, never before what happened was announced."""

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox

TRAIT = "Power Users (c1)"


@pytest.fixture
def synced(sync: Sync, ti: FakeTaskInstance) -> FakeTaskInstance:
    """The task instance after a run that delivered ann and bob and announced it."""
    sync(ti, skip_when_unchanged=True)
    return ti.next_run("second")


def test_a_sync_in_which_nobody_moved_is_skipped_and_committed_all_the_same(
    sync: Sync, synced: FakeTaskInstance
) -> None:
    with pytest.raises(AirflowSkipException, match="no changes"):
        sync(synced, skip_when_unchanged="True")

    (destination,) = synced.xcoms["sync_report"]["destinations"]
    assert (destination["committed"], destination["planned"], destination["generation"]) == (True, 0, 2)
    assert synced.xcoms[f"amplitude_segment:c1:{destination['destination']}"] == 2


def test_it_is_skipped_again_and_again_until_somebody_moves(
    sandbox: Sandbox, sync: Sync, synced: FakeTaskInstance
) -> None:
    for run_id in ("third", "fourth"):
        with pytest.raises(AirflowSkipException):
            sync(synced, skip_when_unchanged=True)
        synced = synced.next_run(run_id)
    sandbox.amplitude.cohorts["c1"].user_ids = ["bob"]

    assert sync(synced, skip_when_unchanged=True)["destinations"][0]["exited"] == 1


def test_a_move_at_one_of_several_destinations_is_news(sandbox: Sandbox, sync: Sync, synced: FakeTaskInstance) -> None:
    report = sync(synced, skip_when_unchanged=True, segment_conn_id="segment_default, segment_emea")

    assert [destination["planned"] for destination in report["destinations"]] == [0, 2]
    assert sandbox.segment.identifies_received == 4


def test_what_failed_syncs_told_is_news_to_the_next_one_although_nothing_is_left_to_tell(
    sandbox: Sandbox, sync: Sync, synced: FakeTaskInstance
) -> None:
    """A user who is refused three times is left out then. Until then the tasks failed, and no asset event went out."""
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "bob", "cat", "x" * 33_000]
    for run_id in ("third", "fourth", "fifth"):
        with pytest.raises(AirflowFailException, match="1 user"):
            sync(synced, skip_when_unchanged=True)
        synced = synced.next_run(run_id)

    (destination,) = sync(synced, skip_when_unchanged=True)["destinations"]

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob", "cat"}
    assert (destination["planned"], destination["skipped"]) == (0, 1)
    with pytest.raises(AirflowSkipException):
        sync(synced.next_run("sixth"), skip_when_unchanged=True)


def test_what_another_task_told_of_the_same_cohort_is_news(
    sandbox: Sandbox, sync: Sync, synced: FakeTaskInstance
) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = ["ann", "bob", "cat"]
    sync(FakeTaskInstance("another task's"))

    report = sync(synced, skip_when_unchanged=True)

    assert report["destinations"][0]["planned"] == 0
    later = synced.next_run("later")
    with pytest.raises(AirflowSkipException):
        sync(later, skip_when_unchanged=True)


def test_a_first_sync_of_an_empty_cohort_is_skipped(sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = []

    with pytest.raises(AirflowSkipException):
        sync(ti, skip_when_unchanged=True)
    assert ti.xcoms["sync_report"]["destinations"][0]["committed"]


def test_a_dry_run_is_never_skipped(sync: Sync, synced: FakeTaskInstance) -> None:
    assert sync(synced, skip_when_unchanged=True, dry_run=True)["destinations"][0]["planned"] == 0


def test_without_the_parameter_a_quiet_day_succeeds(sync: Sync, synced: FakeTaskInstance) -> None:
    assert sync(synced)["destinations"][0]["planned"] == 0


def test_a_value_that_is_no_flag_is_refused_by_name(sync: Sync) -> None:
    with pytest.raises(AirflowFailException, match="skip_when_unchanged"):
        sync(skip_when_unchanged="perhaps")
