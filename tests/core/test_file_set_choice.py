"""Which set of cohort files is synced where several measures of what is new differ; each test is one story."""

import itertools
import logging
from pathlib import Path

import pytest
from fakes import World
from fakes.cohort_folder import amplitude_id, csv_of

from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import (
    CohortFilesIncompleteError,
    CohortFilesOlderError,
    CohortFilesOrderError,
)

TRAIT = "Power Users (c1)"
FIRST, SECOND, THIRD = "2026-11-23T00:12", "2026-11-23T01:12", "2026-11-23T02:12"
HOUR = 3600.0


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.fixture
def synced(world: World) -> World:
    """A cohort of ann and bob, whose first set is synced; an hour later."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.folder.write(FIRST, entering=["ann", "bob"])
    world.sync("c1", files=True)
    world.clock.pass_by(HOUR)
    return world


def put(world: World, stamp: str, kind: str, users: list[str], age: float) -> None:
    rows = [(amplitude_id(user, number), user) for number, user in enumerate(users)]
    world.folder.put(f"1234_c1_{stamp}_{kind}.csv", csv_of(rows), age=age)


def test_a_newer_set_without_all_files_is_never_nothing_new(synced: World) -> None:
    put(synced, SECOND, "existing", ["ann", "bob"], 900)
    put(synced, SECOND, "entering", [], 900)

    with pytest.raises(CohortFilesIncompleteError, match="lacks exiting") as refused:
        synced.attempt("c1", files=True, identity={"started_at": str(synced.clock.now() - 7200)})

    assert refused.value.retryable
    assert (refused.value.stamp, refused.value.synced, refused.value.waited) == (SECOND, FIRST, "2 hours")


def test_a_newer_set_with_hours_between_its_files_is_never_nothing_new(synced: World) -> None:
    put(synced, SECOND, "existing", ["ann", "bob"], 400)
    for kind in ("entering", "exiting"):
        put(synced, SECOND, kind, [], 400 + 2 * HOUR)

    with pytest.raises(CohortFilesIncompleteError, match="2 hours lie between"):
        synced.attempt("c1", files=True)


def test_the_retry_of_a_try_that_found_no_newer_set_syncs_the_one_that_came_meanwhile(synced: World) -> None:
    put(synced, SECOND, "existing", ["ann", "bob"], 900)
    with pytest.raises(CohortFilesIncompleteError):
        synced.attempt("c1", files=True, run="r")
    synced.amplitude.cohort("c1", "Power Users", ["bob"])
    synced.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"])

    synced.sync("c1", files=True, run="r")

    assert synced.segment.members(TRAIT) == {"bob"}


def test_a_newer_set_that_is_passed_over_is_a_warning_where_another_is_synced(
    synced: World, caplog: pytest.LogCaptureFixture
) -> None:
    synced.amplitude.cohort("c1", "Power Users", ["bob"])
    synced.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"], age=1200)
    put(synced, THIRD, "exiting", [], 900)

    synced.sync("c1", files=True)

    assert synced.segment.members(TRAIT) == {"bob"}
    assert f"stamp {THIRD}, is passed over: it lacks existing and entering" in caplog.text


def test_full_sends_the_newest_complete_set_although_a_newer_one_is_not_complete(synced: World) -> None:
    put(synced, SECOND, "existing", ["ann", "bob"], 900)

    assert synced.sync("c1", files=True, sync_mode="full").destinations[0].planned == 2


def test_an_older_set_that_is_not_complete_is_no_concern(synced: World, caplog: pytest.LogCaptureFixture) -> None:
    put(synced, "2026-11-22T23:12", "existing", ["ann", "bob"], 900)

    assert synced.sync("c1", files=True).nothing_new
    assert not caplog.records


def test_a_set_that_is_overwritten_ten_minutes_later_is_no_set(synced: World) -> None:
    """Of two syncs in one hour, which have one name; of the second one a file is late."""
    synced.amplitude.cohort("c1", "Power Users", ["ann"])
    put(synced, SECOND, "exiting", ["ann"], 690)
    put(synced, SECOND, "existing", ["bob"], 90)
    put(synced, SECOND, "entering", ["ann"], 90)

    with pytest.raises(CohortFilesIncompleteError, match="10 minutes lie between"):
        synced.attempt("c1", files=True)

    assert synced.segment.members(TRAIT) == {"ann", "bob"}


def test_a_set_that_is_being_overwritten_is_waited_for(synced: World) -> None:
    synced.amplitude.cohort("c1", "Power Users", ["ann"])
    put(synced, SECOND, "exiting", ["ann"], 760)
    put(synced, SECOND, "existing", ["ann", "bob"], 100)
    put(synced, SECOND, "entering", [], 100)
    listings = itertools.count(1)
    synced.folder.on_list = lambda: next(listings) == 2 and put(synced, SECOND, "exiting", ["bob"], 0)

    synced.sync("c1", files=True)

    assert synced.segment.members(TRAIT) == {"ann"}


@pytest.mark.parametrize("earlier", ["2026-11-22T13:12", "2026-11-22T23:12"])
def test_a_set_that_is_written_later_with_an_earlier_stamp_is_never_nothing_new(synced: World, earlier: str) -> None:
    """As with a clock of 12 hours, where 01 follows 12."""
    synced.folder.write(earlier, existing=["ann", "bob"], exiting=["ann"])

    with pytest.raises(CohortFilesOrderError, match="move them away") as refused:
        synced.attempt("c1", files=True)

    assert refused.value.retryable
    assert (refused.value.stamp, refused.value.later_stamp) == (FIRST, earlier)
    assert refused.value.written < refused.value.later_written
    assert synced.segment.members(TRAIT) == {"ann", "bob"}


def test_a_copy_of_an_old_set_blocks_no_newer_one(synced: World, caplog: pytest.LogCaptureFixture) -> None:
    synced.amplitude.cohort("c1", "Power Users", ["bob"])
    synced.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"], age=600)
    synced.folder.write("2026-11-22T01:12", existing=["eve"])

    synced.sync("c1", files=True)

    assert synced.segment.members(TRAIT) == {"bob"}
    assert "stamp 2026-11-22T01:12 was written later" in caplog.text


def test_a_bucket_that_was_copied_in_any_order_syncs_the_newest_stamp(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"], age=130)
    world.folder.write(FIRST, entering=["ann", "bob"], age=120)

    world.sync("c1", files=True)

    assert world.segment.members(TRAIT) == {"bob"}


@pytest.mark.parametrize(("minutes", "is_synced"), [(-1, False), (1, False), (59, False), (61, True)])
def test_a_set_is_newer_than_an_export_an_hour_after_its_request(world: World, minutes: float, is_synced: bool) -> None:
    """A set can be computed before an export and written after its request."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    requested = world.clock.now()
    world.sync("c1")
    world.clock.pass_by(2 * HOUR - (world.clock.now() - requested))
    world.folder.write(SECOND, existing=["ann", "bob"], entering=["cid"], age=2 * HOUR - 60 * minutes)

    if not is_synced:
        with pytest.raises(CohortFilesOlderError) as refused:
            world.attempt("c1", files=True)
        assert refused.value.retryable
        after = None if minutes < 0 else f"{minutes} minutes" if minutes > 1 else "60 seconds"
        assert refused.value.after_export == after
    else:
        world.sync("c1", files=True)

    assert world.segment.members(TRAIT) == ({"ann", "bob", "cid"} if is_synced else {"ann", "bob"})


def test_between_two_sets_no_hour_has_to_pass(synced: World) -> None:
    synced.clock.pass_by(-HOUR)
    synced.amplitude.cohort("c1", "Power Users", ["bob"])
    synced.clock.pass_by(300)
    synced.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"], age=70)

    synced.sync("c1", files=True)

    assert synced.segment.members(TRAIT) == {"bob"}


@pytest.mark.parametrize("from_files", [True, False])
def test_after_a_rollback_the_hour_has_to_pass_only_where_an_export_was_synced_last(
    synced: World, tmp_path: Path, from_files: bool
) -> None:
    """The commit of a rollback names no export."""
    synced.amplitude.cohort("c1", "Power Users", ["bob"])
    synced.folder.write(SECOND, existing=["ann", "bob"], exiting=["ann"])
    synced.sync("c1", files=from_files)
    ports = MaintenancePorts(synced.store, synced.run_named("a person"), synced.clock, tmp_path)
    roll_back(ports, Stream("1234", "c1", synced.destination()), 1)
    synced.clock.pass_by(600)
    synced.folder.write(THIRD, existing=["bob"])

    if from_files:
        assert not synced.sync("c1", files=True).nothing_new
    else:
        with pytest.raises(CohortFilesOlderError, match="after the last export was requested"):
            synced.attempt("c1", files=True)


@pytest.mark.parametrize("remove", ["an erasure", "a retirement"])
def test_after_what_deleted_every_entry_that_names_a_set_the_set_is_synced_again(
    synced: World, tmp_path: Path, remove: str
) -> None:
    """A cohort that Amplitude wrote once has no next set."""
    if remove == "an erasure":
        ports = MaintenancePorts(synced.store, synced.run_named("a person"), synced.clock, tmp_path)
        erase_users(ports, Stream("1234", "c1", synced.destination()), ["bob"])
    else:
        synced.retire("c1")
    synced.clock.pass_by(600)

    assert not synced.sync("c1", files=True).nothing_new
    assert synced.segment.members(TRAIT) == {"ann", "bob"}


def test_where_the_newest_complete_set_is_older_the_error_names_the_newer_one_that_is_not_complete(
    synced: World,
) -> None:
    synced.sync("c1")
    synced.clock.pass_by(2 * HOUR)
    put(synced, THIRD, "entering", [], 600)

    with pytest.raises(CohortFilesIncompleteError) as refused:
        synced.attempt("c1", files=True)

    assert refused.value.stamp == THIRD
