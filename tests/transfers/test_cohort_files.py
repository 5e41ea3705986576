"""The operator with cohort files: Amplitude's list from the sandbox over HTTP, the files on S3 and in a folder."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from fakes.clock import FakeClock
from fakes.cohort_folder import amplitude_id, csv_of
from fakes.s3_server import S3Server
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.clients.cohort_file_store import CohortFileStore
from airflow_provider_amplitude_segment.exceptions import (
    CohortFilesChangedError,
    CohortFilesIncompleteError,
    CohortFilesMissingError,
)
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox
from airflow_provider_amplitude_segment.sandbox.cohorts import APP_ID

TRAIT = "Power Users (c1)"
Put = Callable[[str, bytes], None]


def later_clock(seconds: float = 120.0) -> FakeClock:
    """A clock by which what is written now was written so long ago."""
    import time  # noqa: PLC0415 - only here is it the real time

    clock = FakeClock()
    clock.seconds = time.time() + seconds
    return clock


def write_set(put: Put, stamp: str, suffix: str = "", **kinds: list[str]) -> None:
    for kind in ("existing", "entering", "exiting"):
        rows = [(amplitude_id(user, number), user) for number, user in enumerate(kinds.get(kind, []))]
        put(f"{APP_ID}_c1_{stamp}_{kind}{suffix}.csv", csv_of(rows))


def put_into(folder: Path, *, age: float = 120.0) -> Put:
    """Write files into a folder, dated so many seconds ago."""

    def put(name: str, content: bytes) -> None:
        file = folder / name
        file.write_bytes(content)
        moment = file.stat().st_mtime - age
        os.utime(file, (moment, moment))

    return put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


def test_files_of_a_folder_are_synced_without_an_export(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance, folder: Path
) -> None:
    write_set(put_into(folder), "2026-11-23T05:12", "_routing", existing=["ann"], entering=["bob", ""])

    report = sync(ti, cohort_files=str(folder), min_exports_left=400, deferrable=True)

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}
    assert (report["export_source"], report["members"], report["anonymous"]) == ("files", 2, 1)
    assert sandbox.amplitude.exports_spent == 0


def test_a_set_that_was_synced_is_nothing_new_and_skipped_on_request(
    sync: Sync, ti: FakeTaskInstance, folder: Path
) -> None:
    write_set(put_into(folder), "2026-11-23T05:12", entering=["ann", "bob"])
    sync(ti, cohort_files=f"file://{folder}", skip_when_unchanged=True)

    second = ti.next_run("second")
    assert sync(second, cohort_files=str(folder))["nothing_new"]
    with pytest.raises(AirflowSkipException, match="no changes"):
        sync(second.next_run("third"), cohort_files=str(folder), skip_when_unchanged=True)


def test_no_set_yet_is_retried(sync: Sync, folder: Path) -> None:
    with pytest.raises(CohortFilesMissingError, match="none is there yet"):
        sync(cohort_files=str(folder))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("relative/path", "cohort_files: got the relative path"),
        ("s3://key:hush@bucket/files", "a URL with a password in it"),
        ("https://bucket.s3.amazonaws.com/files", "an address for browsers"),
        ("/no/such/folder", "No such file or directory"),
    ],
)
def test_a_wrong_place_fails_the_task_and_says_why(sync: Sync, place: str, said: str) -> None:
    with pytest.raises(AirflowFailException, match=said) as failed:
        sync(cohort_files=place)

    assert "hush" not in str(failed.value)


@pytest.fixture
def put_on_s3(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Put:
    monkeypatch.setenv("AIRFLOW_CONN_FILES", s3_server.connection())
    return lambda name, content: s3_server.put(f"{bucket}/amplitude/{name}", content)


@pytest.fixture
def url(bucket: str) -> str:
    return f"s3://files@{bucket}/amplitude/"


def test_files_of_a_bucket_are_synced_hour_by_hour(sandbox: Sandbox, sync: Sync, put_on_s3: Put, url: str) -> None:
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])
    sync(FakeTaskInstance("1"), cohort_files=url, clock=later_clock())
    write_set(put_on_s3, "2026-11-23T06:12", existing=["ann", "bob"], entering=["cid"], exiting=["ann"])

    report = sync(FakeTaskInstance("2"), cohort_files=url, clock=later_clock())

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"bob", "cid"}
    assert (report["destinations"][0]["entered"], report["destinations"][0]["exited"]) == (1, 1)


def test_only_the_cohorts_own_files_are_listed(
    sandbox: Sandbox, sync: Sync, s3_server: S3Server, bucket: str, put_on_s3: Put, url: str
) -> None:
    names = [f"amplitude/{APP_ID}_other{n}_2026-11-23T05:12_existing.csv" for n in range(3_000)]
    s3_server.put_many(bucket, names, b"")
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])
    s3_server.traffic()

    sync(cohort_files=url, clock=later_clock())

    assert s3_server.traffic()["list"] <= 6
    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}


def test_a_set_that_is_written_just_now_is_waited_for(sandbox: Sandbox, sync: Sync, put_on_s3: Put, url: str) -> None:
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])
    clock = later_clock(1.0)

    sync(cohort_files=url, clock=clock)

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}


def test_a_set_whose_last_file_does_not_come_is_retried_until_it_is_there(
    sandbox: Sandbox, sync: Sync, put_on_s3: Put, url: str
) -> None:
    put_on_s3(f"{APP_ID}_c1_2026-11-23T05:12_existing.csv", csv_of([("1", "ann")]))
    put_on_s3(f"{APP_ID}_c1_2026-11-23T05:12_entering.csv", csv_of([("2", "bob")]))
    with pytest.raises(CohortFilesIncompleteError, match="lacks exiting"):
        sync(cohort_files=url, clock=later_clock(600))
    put_on_s3(f"{APP_ID}_c1_2026-11-23T05:12_exiting.csv", csv_of([]))

    sync(cohort_files=url, clock=later_clock())

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}


def test_a_file_that_is_written_again_while_it_is_read_is_not_sent(
    sandbox: Sandbox, sync: Sync, put_on_s3: Put, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])
    fetch = CohortFileStore.fetch

    def overwrite_after(store: CohortFileStore, name: str, to: Path) -> bool:
        fetched = fetch(store, name, to)
        put_on_s3(name, csv_of([("1", "eve"), ("2", "fay")]))
        return fetched

    with monkeypatch.context() as patched:
        patched.setattr(CohortFileStore, "fetch", overwrite_after)
        with pytest.raises(CohortFilesChangedError):
            sync(FakeTaskInstance("1"), cohort_files=url, clock=later_clock())
    assert sandbox.segment.identifies_received == 0
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])

    sync(FakeTaskInstance("1"), cohort_files=url, clock=later_clock())

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}


def test_of_two_sets_in_one_minute_the_later_one_is_synced_alone(
    sandbox: Sandbox, sync: Sync, put_on_s3: Put, url: str
) -> None:
    """S3 gives times in whole seconds; of two in one second the greater stamp is the later."""
    write_set(put_on_s3, "2026-11-23T05:00:02", entering=["eve"])
    write_set(put_on_s3, "2026-11-23T05:00:59", entering=["ann", "bob"])

    sync(cohort_files=url, clock=later_clock())

    assert set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)) == {"ann", "bob"}


def test_a_bucket_that_may_not_be_listed_fails_the_task(
    sync: Sync, s3_server: S3Server, bucket: str, put_on_s3: Put, url: str
) -> None:
    write_set(put_on_s3, "2026-11-23T05:12", entering=["ann", "bob"])
    s3_server.deny(f"{bucket}/amplitude/")

    with pytest.raises(AirflowFailException, match="403"):
        sync(cohort_files=url, clock=later_clock())


def test_a_bucket_that_does_not_exist_fails_the_task(sync: Sync, put_on_s3: Put) -> None:
    assert put_on_s3

    with pytest.raises(AirflowFailException, match="cohort files"):
        sync(cohort_files="s3://files@no-such-bucket/amplitude", clock=later_clock())
