"""What Segment believes after syncs from cohort files; each test is one story."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import Killed, World
from fakes.cohort_folder import csv_of

from airflow_provider_amplitude_segment.core.export.approval import Approval
from airflow_provider_amplitude_segment.core.export.run_checkpoint import keep_approval
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Stream
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.core.report.question import Question
from airflow_provider_amplitude_segment.exceptions import (
    CohortFileRefusedError,
    CohortFilesChangedError,
    CohortFilesFutureError,
    CohortFilesIncompleteError,
    CohortFilesMismatchError,
    CohortFilesMissingError,
    CohortFilesOlderError,
    CohortFilesProjectError,
    RejectedUsersError,
    SegmentUnavailableError,
)
from airflow_provider_amplitude_segment.sandbox import FileForm

TRAIT = "Power Users (c1)"
FIRST, HALF_PAST, SECOND = "2026-11-23T00:00", "2026-11-23T00:30", "2026-11-23T01:00"


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


@pytest.fixture
def files(world: World) -> World:
    """A cohort of ann and bob, with one set."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.folder.write(FIRST, entering=["ann", "bob"])
    return world


def next_hour(world: World, users: list[str], **kinds: list[str]) -> None:
    world.clock.pass_by(3600)
    world.amplitude.cohort("c1", "Power Users", users)
    world.folder.write(SECOND, **kinds)


def put(world: World, kind: str, content: bytes) -> None:
    world.folder.put(f"1234_c1_{HALF_PAST}_{kind}.csv", content, age=90)


def test_members_are_existing_and_entering_without_exiting(files: World) -> None:
    first = files.sync("c1", files=True)
    next_hour(files, ["bob", "cid"], existing=["ann", "bob"], entering=["cid"], exiting=["ann"])

    second = files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"bob", "cid"}
    assert files.segment.former(TRAIT) == {"ann"}
    assert files.amplitude.exports_spent == 0
    assert (first.export_source, second.export_source, second.nothing_new) == ("files", "files", False)
    assert (second.destinations[0].entered, second.destinations[0].exited) == (1, 1)


def test_existing_that_already_has_todays_members_gives_the_same(files: World) -> None:
    files.folder.write(HALF_PAST, existing=["ann", "bob"], entering=["bob"], exiting=["cid"], age=90)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_log_of_all_who_ever_were_members_is_refused_with_both_readings(files: World) -> None:
    ever = [f"{n:04}" for n in range(1000)]
    files.amplitude.cohort("c1", "Power Users", ever[:800])
    files.folder.write(HALF_PAST, existing=ever, entering=ever[:10], age=90)

    with pytest.raises(CohortFilesMismatchError) as refused:
        files.attempt("c1", files=True)

    assert (refused.value.listed, refused.value.existing, refused.value.computed) == (800, 1000, 1000)
    assert files.segment.identifies == 0


def test_where_existing_alone_fits_the_set_is_refused_and_nothing_is_guessed(files: World) -> None:
    users = [f"{n:04}" for n in range(1000)]
    files.amplitude.cohort("c1", "Power Users", users)
    files.folder.write(HALF_PAST, existing=users, exiting=users[:300], age=90)

    with pytest.raises(CohortFilesMismatchError, match="existing alone has 1,000"):
        files.attempt("c1", files=True)

    assert files.segment.identifies == 0


def test_a_difference_of_a_hundred_users_is_no_mismatch(files: World) -> None:
    files.amplitude.cohort("c1", "Power Users", [f"{n:04}" for n in range(102)])

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_difference_within_the_limit_is_a_warning_with_both_readings(
    files: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A log of all who ever were members of a small cohort passes the limit of 100 users, and is not silent."""
    ever = [f"{n:04}" for n in range(150)]
    files.amplitude.cohort("c1", "Power Users", ever[:50])
    files.folder.write(HALF_PAST, existing=ever, entering=ever[:1], age=90)

    files.sync("c1", files=True)

    assert re.search("lists 50 users.*exiting has 150 users.*existing alone has 150", caplog.text)


def test_where_existing_alone_fits_better_a_warning_has_both_readings(
    files: World, caplog: pytest.LogCaptureFixture
) -> None:
    users = [f"{n:05}" for n in range(4000)]
    files.amplitude.cohort("c1", "Power Users", users)
    files.folder.write(HALF_PAST, existing=users, exiting=users[:40], age=90)

    files.sync("c1", files=True)

    assert re.search("lists 4,000 users.*exiting has 3,960 users.*existing alone has 4,000", caplog.text)


def test_a_small_difference_that_fits_best_is_no_warning(files: World, caplog: pytest.LogCaptureFixture) -> None:
    users = [f"{n:05}" for n in range(4000)]
    files.amplitude.cohort("c1", "Power Users", users)
    files.folder.write(HALF_PAST, existing=users[:3900], entering=users[3900:3990], age=90)

    files.sync("c1", files=True)

    assert not caplog.records


def test_a_retry_compares_its_set_with_the_size_that_was_listed_when_it_was_chosen(files: World) -> None:
    users = [f"{n:04}" for n in range(1000)]
    files.amplitude.cohort("c1", "Power Users", users)
    files.folder.write(HALF_PAST, entering=users, age=90)
    files.store.die_before_write(5)
    with pytest.raises(Killed):
        files.attempt("c1", files=True, run="r")
    files.store.revive()
    files.amplitude.cohort("c1", "Power Users", [*users, *(f"x{n:04}" for n in range(200))])

    report = files.sync("c1", files=True, run="r")

    assert report.cohort_size == 1000
    assert files.segment.members(TRAIT) == set(users)


def test_an_approval_holds_after_amplitude_has_listed_another_size(files: World) -> None:
    users = [f"{n:04}" for n in range(1000)]
    files.amplitude.cohort("c1", "Power Users", users)
    files.folder.write(HALF_PAST, entering=users, age=90)
    files.sync("c1", files=True)
    next_hour(files, users[:300], existing=users, exiting=users[300:])
    question = files.attempt("c1", run="r", files=True, on_guard="ask")
    assert isinstance(question, Question)
    files.deferred.add("r")
    files.clock.pass_by(36_000)
    files.amplitude.cohort("c1", "Power Users", users[:450])
    stream = Stream(question.app_id, question.cohort_id, Destination("", ""))
    approval = Approval(question.export_request_id, question.starts, "alice")
    keep_approval(files.store, stream, files.run_named("r"), approval)

    files.sync("c1", run="r", files=True, on_guard="ask")

    assert files.segment.members(TRAIT) == set(users[:300])


def test_a_cohort_without_a_listed_size_is_refused(files: World) -> None:
    files.amplitude.cohorts["c1"] = replace(files.amplitude.cohorts["c1"], size=None)

    with pytest.raises(CohortFilesMismatchError, match="no size"):
        files.attempt("c1", files=True)


def test_the_limit_of_an_export_is_none_of_files(files: World) -> None:
    cohort = files.amplitude.cohorts["c1"]
    files.amplitude.cohorts["c1"] = replace(cohort, size=3_000_000, last_computed=files.clock.now())

    with pytest.raises(CohortFilesMismatchError, match="lists 3,000,000 users"):
        files.attempt("c1", files=True)


def test_anonymous_users_are_counted_and_not_sent(files: World) -> None:
    files.amplitude.cohort("c1", "Power Users", ["ann", "", " "])
    files.folder.write(HALF_PAST, existing=["ann", "", " "], age=90)

    report = files.sync("c1", files=True)

    assert (report.rows, report.members, report.anonymous) == (3, 1, 2)


def test_users_that_segment_rejected_are_sent_again_from_the_same_set(files: World) -> None:
    files.segment.poisoned = {"bob"}
    with pytest.raises(RejectedUsersError):
        files.sync("c1", files=True)
    files.segment.poisoned = set()
    files.clock.pass_by(600)

    again = files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}
    assert (again.nothing_new, again.destinations[0].acknowledged) == (False, 1)
    files.clock.pass_by(600)
    assert files.sync("c1", files=True).nothing_new


def test_a_set_is_synced_once(files: World) -> None:
    files.sync("c1", files=True)
    fetched = len(files.folder.fetched)

    again = files.sync("c1", files=True)

    assert again.nothing_new
    assert (again.destinations[0].planned, again.destinations[0].known) == (0, 2)
    assert len(files.folder.fetched) == fetched
    assert files.segment.identifies == 2


def test_a_destination_that_has_not_had_the_set_still_gets_it(files: World) -> None:
    files.sync("c1", files=True)

    report = files.sync("c1", files=True, keys=("default", "other"))

    assert not report.nothing_new
    assert files.segment.members(TRAIT, "other") == {"ann", "bob"}
    assert files.segment.identifies == 4


def test_full_sends_a_set_again(files: World) -> None:
    files.sync("c1", files=True)

    assert files.sync("c1", files=True, sync_mode="full").destinations[0].planned == 2


def test_a_cohort_that_is_renamed_is_compared_again(files: World) -> None:
    files.sync("c1", files=True)
    files.amplitude.cohort("c1", "Best Users", ["ann", "bob"])

    files.sync("c1", files=True)

    assert files.segment.members("Best Users (c1)") == {"ann", "bob"}


def test_a_retry_reads_the_same_set_although_a_newer_one_is_there(files: World) -> None:
    files.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        files.attempt("c1", files=True, run="r")
    files.segment.refuses_connections = False
    next_hour(files, ["bob"], existing=["ann", "bob"], exiting=["ann"])

    files.sync("c1", files=True, run="r")
    assert files.segment.members(TRAIT) == {"ann", "bob"}

    files.sync("c1", files=True)
    assert files.segment.members(TRAIT) == {"bob"}


def test_an_older_set_never_follows_a_newer_one(files: World) -> None:
    next_hour(files, ["bob"], existing=["ann", "bob"], exiting=["ann"])
    files.sync("c1", files=True)
    for name in [name for name in files.folder.files if SECOND in name]:
        del files.folder.files[name]

    with pytest.raises(CohortFilesOlderError) as refused:
        files.attempt("c1", files=True)

    assert refused.value.retryable
    assert files.segment.members(TRAIT) == {"bob"}


def test_going_to_the_api_and_back_needs_no_full_sync(files: World) -> None:
    files.sync("c1", files=True)
    files.clock.pass_by(600)
    files.amplitude.cohort("c1", "Power Users", ["ann", "cid"])
    assert files.sync("c1").destinations[0].planned == 2
    with pytest.raises(CohortFilesOlderError):
        files.attempt("c1", files=True)
    next_hour(files, ["cid"], existing=["ann", "cid"], exiting=["ann"])

    report = files.sync("c1", files=True)

    assert report.destinations[0].planned == 1
    assert files.segment.members(TRAIT) == {"cid"}


def test_after_a_worker_whose_clock_was_ahead_an_older_set_still_follows_no_newer_export(files: World) -> None:
    files.sync("c1", ahead=400 * 86_400.0)
    files.clock.pass_by(600)
    files.sync("c1")

    with pytest.raises(CohortFilesOlderError):
        files.attempt("c1", files=True)


def test_a_set_that_is_being_written_is_waited_for(files: World) -> None:
    files.amplitude.cohort("c1", "Power Users", ["ann", "bob", "cid"])
    files.folder.write(HALF_PAST, existing=["ann", "bob"], entering=["cid"], age=0)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob", "cid"}


def test_a_set_that_stays_a_part_is_passed_over(files: World) -> None:
    files.clock.pass_by(3600)
    files.folder.write(SECOND, existing=["cid"], age=900)
    del files.folder.files[f"1234_c1_{SECOND}_exiting.csv"]

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_set_that_changes_while_it_is_read_is_not_sent(files: World) -> None:
    files.folder.on_fetch = lambda name: files.folder.put(name, csv_of([("1", "eve")]))
    with pytest.raises(CohortFilesChangedError):
        files.attempt("c1", files=True, run="r")
    assert files.segment.identifies == 0
    files.folder.on_fetch = lambda _name: None
    files.folder.write(FIRST, entering=["ann", "bob"])

    files.sync("c1", files=True, run="r")

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_newer_set_that_arrives_while_one_is_read_does_not_mix_in(files: World) -> None:
    files.folder.on_fetch = lambda _name: files.folder.write(HALF_PAST, existing=["eve"], age=0)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_bucket_without_a_set_is_retried_with_how_long_it_has_waited(files: World) -> None:
    files.folder.files.clear()
    files.folder.write(FIRST, cohort="1234_other")

    with pytest.raises(CohortFilesMissingError, match="2 hours after") as missing:
        files.attempt("c1", files=True, identity={"started_at": str(files.clock.now() - 7200)})

    assert missing.value.retryable
    assert missing.value.others == 1


def test_a_set_that_is_never_complete_is_retried(files: World) -> None:
    del files.folder.files[f"1234_c1_{FIRST}_existing.csv"]
    files.clock.pass_by(3600)

    with pytest.raises(CohortFilesIncompleteError, match="lacks existing"):
        files.attempt("c1", files=True)


def test_files_of_another_project_are_refused(files: World) -> None:
    files.folder.files.clear()
    files.folder.write(FIRST, cohort="999_c1", existing=["eve"])

    with pytest.raises(CohortFilesProjectError, match="'999'"):
        files.attempt("c1", files=True)


@pytest.mark.parametrize(("stamp", "age"), [(HALF_PAST, -1000.0), ("2027-11-23T00:30", 90.0)])
def test_a_set_of_the_future_is_refused(files: World, stamp: str, age: float) -> None:
    files.folder.write(stamp, existing=["eve"], age=age)

    with pytest.raises(CohortFilesFutureError):
        files.attempt("c1", files=True)

    assert files.segment.identifies == 0


def test_of_two_sets_in_one_minute_the_one_written_later_is_synced(files: World) -> None:
    files.folder.write("2026-11-23T00:00:59", existing=["eve", "fay"], age=110)
    files.folder.write("2026-11-23T00:00:03", existing=["ann", "cid"], age=100)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "cid"}


def test_spellings_orders_and_extra_columns_do_not_matter(files: World) -> None:
    put(files, "existing", csv_of([("ann", "x", "1")], ("user_id", "name", "amplitude_id")))
    header = ("amplitude_id", "user_id", "amplitude_id", "name")
    put(files, "entering", csv_of([("2", "bob", "2", "")], header))
    put(files, "exiting", b"")

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_user_properties_are_columns_and_of_several_the_first_with_a_value(files: World) -> None:
    header = ("amplitudeID", "userID", "plan", "plan")
    put(files, "existing", csv_of([("1", "ann", "", "gold")], header))
    put(files, "entering", csv_of([("2", "bob", "free", "")], header))
    put(files, "exiting", csv_of([]))

    files.sync("c1", files=True, user_properties=("plan",))

    assert [files.segment.traits(user)["plan"] for user in ("ann", "bob")] == ["gold", "free"]


def test_a_portfolio_projects_columns_are_named_by_the_property_and_the_app(files: World) -> None:
    """In the form that the sandbox writes; Amplitude documents a column for each source app, and not its name."""
    form = FileForm(property_keys=("plan", "plan_end"), source_apps=("App A", "App B"))
    put(files, "existing", form.content([("ann", 0)], {"ann": {"plan": "gold", "plan_end": "2027"}}))
    put(files, "entering", form.content([("bob", 0)], {"bob": {"plan": "free"}}))
    put(files, "exiting", form.content([], {}))

    files.sync("c1", files=True, user_properties=("plan",))

    assert [files.segment.traits(user)["plan"] for user in ("ann", "bob")] == ["gold", "free"]


@pytest.mark.parametrize("content", [b"amplitudeID,userID", b'"user_id","amplitude_id"', b"\n", b"\r\n"])
@pytest.mark.parametrize("kind", ["existing", "exiting"])
def test_a_header_or_a_line_break_alone_is_a_file_without_users(files: World, kind: str, content: bytes) -> None:
    put(files, "existing", csv_of([]))
    put(files, "exiting", csv_of([]))
    put(files, "entering", csv_of([("1", "ann"), ("2", "bob")]))
    put(files, kind, content)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


@pytest.mark.parametrize(
    "content",
    [
        b'"a","b"\n',
        b"amplitudeID,user",
        b"1,ann",
        b"\xff\n",
        b'"amplitudeID","userID"\n"1"\n',
        b'"amplitudeID","userID"\n"1","a',
        b'"amplitudeID","userID"\n"1","a"',
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused_by_its_name(files: World, content: bytes) -> None:
    put(files, "entering", content)
    put(files, "exiting", csv_of([]))
    put(files, "existing", csv_of([]))

    with pytest.raises(CohortFileRefusedError, match=r"T00:30_entering\.csv"):
        files.attempt("c1", files=True)

    assert files.segment.identifies == 0


def test_a_retry_needs_no_files_where_its_plan_is_written(files: World) -> None:
    files.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        files.attempt("c1", files=True, run="r")
    files.segment.refuses_connections = False
    files.folder.files.clear()

    files.sync("c1", files=True, run="r")

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_a_cleared_run_with_other_parameters_chooses_again_where_its_set_is_gone(files: World) -> None:
    files.segment.refuses_connections = True
    with pytest.raises(SegmentUnavailableError):
        files.attempt("c1", files=True, run="r")
    files.segment.refuses_connections = False
    files.folder.files.clear()
    with pytest.raises(CohortFilesChangedError):
        files.attempt("c1", files=True, run="r", segment_context={"library": "x"})
    next_hour(files, ["bob"], existing=["ann", "bob"], exiting=["ann"])

    files.sync("c1", files=True, run="r", segment_context={"library": "x"})

    assert files.segment.members(TRAIT) == {"bob"}


def test_after_a_rollback_a_set_is_compared_again(files: World, tmp_path: Path) -> None:
    """A rollback says that Segment lost something, which the same set can give back."""
    files.sync("c1", files=True)
    next_hour(files, ["bob"], existing=["ann", "bob"], exiting=["ann"])
    files.sync("c1", files=True)
    ports = MaintenancePorts(files.store, files.run_named("a person"), files.clock, tmp_path)
    roll_back(ports, Stream("1234", "c1", files.destination()), 1)

    report = files.sync("c1", files=True)

    assert not report.nothing_new
    assert files.segment.members(TRAIT) == {"bob"}


def test_other_routing_is_another_ledger_and_gets_the_set(files: World) -> None:
    files.sync("c1", files=True)

    assert files.sync("c1", files=True, integrations={"All": False}).destinations[0].planned == 2


def test_a_user_in_entering_and_in_exiting_counts_as_exited_where_they_are_few(files: World) -> None:
    files.folder.write(HALF_PAST, existing=["ann"], entering=["bob", "cid"], exiting=["cid"], age=90)

    files.sync("c1", files=True)

    assert files.segment.members(TRAIT) == {"ann", "bob"}


def test_users_in_entering_and_in_exiting_are_refused_where_they_are_many(files: World) -> None:
    both = [f"{n:04}" for n in range(101)]
    files.folder.write(HALF_PAST, existing=["ann", "bob"], entering=both, exiting=both, age=90)

    with pytest.raises(CohortFilesMismatchError, match="101 users are both"):
        files.attempt("c1", files=True)


def test_files_of_two_hours_under_one_name_are_no_set(files: World) -> None:
    """With the stamp as documented, without minutes, a later sync overwrites the files of an earlier one."""
    files.clock.pass_by(3600)
    files.folder.put(f"1234_c1_{FIRST}_entering.csv", csv_of([("1", "eve")]), age=400)

    with pytest.raises(CohortFilesIncompleteError, match="of two sets"):
        files.attempt("c1", files=True)

    assert files.segment.identifies == 0
