"""What Segment believes after syncs; each test is one story."""

import json

import pytest
from fakes import World
from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.response import UnexpectedResponse, no_response
from airflow_provider_amplitude_segment.core.export.responses import (
    ExportPending,
    ExportsLimited,
    Usage,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.exceptions import (
    EmptyCohortError,
    ExitRatioError,
    ExportsSpentError,
    ExportTimeoutError,
    FewExportsLeftError,
    RejectedUsersError,
    SegmentAnswerError,
    SegmentRefusedError,
    SegmentUnavailableError,
)

TRAIT = "Power Users (c1)"


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


def test_the_first_sync_tells_true_for_every_member(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", "", "  ", "ann"])

    report = world.sync("c1")

    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert (report.rows, report.members, report.anonymous, report.duplicates) == (5, 2, 2, 1)
    destination = report.destinations[0]
    assert (destination.entered, destination.planned, destination.acknowledged) == (2, 2, 2)
    assert destination.committed


def test_later_syncs_tell_only_movers(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 1000))
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", users(3, 1005))

    report = world.sync("c1")

    assert world.segment.members(TRAIT) == set(users(3, 1005))
    assert world.segment.former(TRAIT) == set(users(0, 3))
    assert world.segment.identifies == 1000 + 8
    destination = report.destinations[0]
    assert (destination.entered, destination.exited, destination.unchanged) == (5, 3, 997)


def test_a_sync_without_changes_sends_nothing_and_commits(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")

    report = world.sync("c1")

    assert world.segment.identifies == 1
    assert report.destinations[0].committed
    assert report.destinations[0].generation == 2


def test_a_user_who_leaves_and_comes_back_within_minutes_ends_as_a_member(world: World) -> None:
    """Each plan has message IDs of its own, so a Segment that drops copies drops nothing that is true."""
    for members in (["ann", "bob"], ["bob"], ["ann", "bob"]):
        world.amplitude.cohort("c1", "Power Users", members)
        world.sync("c1")

    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert set(world.segment.times_received.values()) == {1}


def test_a_lost_answer_and_a_user_who_left_since_ends_right(world: World) -> None:
    """A user who may have been sent true is sent false, although Segment may never have received it."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.lost = [RetryLater(None, None, "ReadTimeout")]
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a")
    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert world.report.destinations[0].pending == 2

    world.segment.script = []
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    report = world.sync("c1", run="b")

    assert world.segment.members(TRAIT) == {"bob"}
    assert report.destinations[0].in_doubt == 2


def test_a_retry_of_the_run_sends_the_same_message_ids_and_spends_no_second_export(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 600))
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a", max_concurrent_requests=1)
    acknowledged_before = world.report.destinations[0].acknowledged
    world.segment.script = []

    report = world.sync("c1", run="a")

    assert acknowledged_before == 250
    assert world.amplitude.exports_spent == 1
    assert world.segment.members(TRAIT) == set(users(0, 600))
    assert set(world.segment.times_received.values()) == {1}
    assert report.destinations[0].acknowledged == report.destinations[0].planned == 600


def test_two_destinations_from_one_export_both_get_everything(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 3000))

    report = world.sync("c1", keys=("default", "emea"))

    assert world.segment.members(TRAIT, "default") == world.segment.members(TRAIT, "emea") == set(users(0, 3000))
    assert world.amplitude.exports_spent == 1
    assert [d.committed for d in report.destinations] == [True, True]


def test_a_destination_that_fails_does_not_hold_the_other_up_and_is_told_by_the_retry(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    refusing = world.prepare("c1", run="a", keys=("default", "emea"))
    segment_clients = dict(refusing._session.ports.segment_clients)
    emea = next(destination for destination in segment_clients if destination.name == "dst-emea")
    good = segment_clients[emea]
    segment_clients[emea] = Source(lambda _body: no_response("ConnectionError"))
    object.__setattr__(refusing._session.ports, "segment_clients", segment_clients)

    with pytest.raises(SegmentUnavailableError):
        refusing.run()
    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.members(TRAIT, "emea") == set()

    segment_clients[emea] = good
    report = world.sync("c1", run="a", keys=("default", "emea"))
    assert world.segment.members(TRAIT, "emea") == {"ann"}
    assert world.amplitude.exports_spent == 1
    assert world.segment.identifies == 2
    assert all(destination.committed for destination in report.destinations)


def test_a_renamed_cohort_is_told_under_its_new_key_and_retired_under_the_old(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Heavy Users", ["bob", "cat"])

    report = world.sync("c1")

    assert world.segment.members(TRAIT) == set()
    assert world.segment.members("Heavy Users (c1)") == {"bob", "cat"}
    assert report.destinations[0].retired == 2


def test_a_cohort_renamed_back_ends_with_the_first_key_alone(world: World) -> None:
    for name in ("Power Users", "Heavy Users", "Power Users"):
        world.amplitude.cohort("c1", name, ["ann", "bob"])
        world.sync("c1")

    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert world.segment.members("Heavy Users (c1)") == set()


def test_an_edited_template_retires_the_old_key(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")

    world.sync("c1", trait_name="[Amplitude] {cohort_name} ({cohort_id})")

    assert world.segment.members("[Amplitude] Power Users (c1)") == {"ann"}
    assert world.segment.former(TRAIT) == {"ann"}


def test_keep_stays_with_the_old_key_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    for name in ("Heavy Users", "Heavier Users", "Power Users"):
        world.amplitude.cohort("c1", name, ["ann", "bob"])
        report = world.sync("c1", on_trait_change="keep")

    assert world.segment.members(TRAIT) == {"ann", "bob"}
    assert world.segment.members("Heavy Users (c1)") == set()
    assert report.destinations[0].trait == TRAIT
    assert caplog.text.count("the trait key stays 'Power Users (c1)'") == 2


def test_full_tells_everyone_again_and_former_members_false(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.sync("c1")
    world.segment._values.clear()

    report = world.sync("c1", sync_mode="full")

    assert world.segment.members(TRAIT) == {"bob"}
    assert world.segment.former(TRAIT) == {"ann"}
    assert report.destinations[0].planned == 2


def test_a_tripped_exit_guard_sends_nothing_and_leaves_the_ledger_as_it_was(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 300))
    world.sync("c1")
    before = {name for name in world.store.objects if "plan-" in name or "commit-" in name}
    world.amplitude.cohort("c1", "Power Users", users(200, 300))

    with pytest.raises(ExitRatioError, match=r'{"max_exit_ratio": null}') as refused:
        world.attempt("c1")

    assert (refused.value.leaving, refused.value.told) == (200, 300)
    assert world.segment.members(TRAIT) == set(users(0, 300))
    assert {name for name in world.store.objects if "plan-" in name or "commit-" in name} == before
    assert world.report.destinations[0].error

    world.sync("c1", max_exit_ratio=None)
    assert world.segment.members(TRAIT) == set(users(200, 300))


def test_fewer_than_a_hundred_may_leave_whatever_their_share(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 100))
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", users(99, 100))

    world.sync("c1")

    assert world.segment.members(TRAIT) == set(users(99, 100))


def test_an_empty_export_where_members_were_known_is_refused(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["", ""])

    with pytest.raises(EmptyCohortError, match="Nothing was sent"):
        world.attempt("c1")
    assert world.segment.members(TRAIT) == {"ann"}


def test_an_empty_export_can_be_skipped_or_let_through(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 200))
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", [])

    assert isinstance(world.attempt("c1", on_empty_cohort="skip"), Skipped)
    assert len(world.segment.members(TRAIT)) == 200

    world.sync("c1", on_empty_cohort="sync")
    assert world.segment.members(TRAIT) == set()


def test_the_first_sync_of_an_empty_cohort_succeeds_with_zeros(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", [])

    report = world.sync("c1")

    assert report.destinations[0].planned == 0
    assert report.destinations[0].committed


def test_a_dry_run_neither_sends_nor_commits_and_lists_what_it_would_tell(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])

    report = world.sync("c1", dry_run=True)

    assert world.segment.identifies == 0
    assert not any("commit-" in name or "plan-" in name for name in world.store.objects)
    assert report.destinations[0].planned == 2
    listed = report.destinations[0].planned_changes
    assert listed is not None
    assert world.store.objects[listed.removeprefix("memory:")].decode().splitlines()[1:] == [
        "Power Users (c1),ann,true",
        "Power Users (c1),bob,true",
    ]


def test_a_poisoned_user_is_rejected_alone_and_tried_again(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 1000))
    world.segment.poisoned = {"user-000500"}

    with pytest.raises(RejectedUsersError):
        world.attempt("c1")
    assert world.segment.members(TRAIT) == set(users(0, 1000)) - {"user-000500"}
    destination = world.report.destinations[0]
    assert (destination.planned, destination.acknowledged, destination.rejected) == (1000, 999, 1)
    assert destination.committed

    world.segment.poisoned = set()
    world.sync("c1")
    assert world.segment.members(TRAIT) == set(users(0, 1000))


def test_a_user_refused_in_three_syncs_is_left_until_full(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.poisoned = {"bob"}
    for _ in range(3):
        assert world.sync("c1", on_rejected="warn").destinations[0].rejected == 1

    report = world.sync("c1")
    assert (report.destinations[0].skipped, report.destinations[0].planned) == (1, 0)

    world.segment.poisoned = set()
    world.sync("c1", sync_mode="full")
    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_a_key_that_segment_refuses_marks_no_user(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 700))
    world.segment.refuses_everything = True

    with pytest.raises(SegmentRefusedError):
        world.attempt("c1", run="a")
    assert world.report.destinations[0].rejected == 0

    world.segment.refuses_everything = False
    world.sync("c1", run="a")
    assert world.segment.members(TRAIT) == set(users(0, 700))


def test_what_is_not_segment_gets_no_second_batch(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 700))
    world.segment.script = [UnexpectedResponse(302, "")] * 10

    with pytest.raises(SegmentAnswerError, match="700 changes are not acknowledged"):
        world.attempt("c1")
    assert len(world.segment.script) == 9


def test_a_message_over_the_limit_never_leaves_the_machine(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "x" * 40_000])

    with pytest.raises(RejectedUsersError):
        world.attempt("c1")

    assert world.segment.members(TRAIT) == {"ann"}
    assert world.segment.identifies == 1


def test_an_export_that_is_not_complete_leaves_the_slot_and_is_gone_on_with(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]

    assert world.attempt("c1", run="a", wait_for_export=False) == ExportIncomplete(
        "export-1", {"1234/c1/dst-default": 1}
    )
    world.sync("c1", run="a")

    assert world.amplitude.exports_spent == 1
    assert world.segment.members(TRAIT) == {"ann"}


def test_an_export_that_never_completes_names_its_request_and_is_waited_for_by_the_retry(
    world: World,
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.answers_before_completion = [ExportPending("JOB STRANGE"), RetryLater(503)] * 500

    with pytest.raises(ExportTimeoutError, match="export-1"):
        world.attempt("c1", run="a", export_timeout=600)

    world.amplitude.answers_before_completion = []
    world.sync("c1", run="a")
    assert world.amplitude.exports_spent == 1


def test_exports_that_are_spent_fail_with_what_usage_says_and_too_many_at_once_are_waited_for(
    world: World,
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.limited = [ExportsLimited(None)]
    world.amplitude.counted = Usage(500, 500, "2026-12-01")
    with pytest.raises(ExportsSpentError, match="2026-12-01"):
        world.attempt("c1")

    world.amplitude.limited = [ExportsLimited(None), ExportsLimited(90.0)]
    world.amplitude.counted = Usage(7, 500, None)
    world.sync("c1")
    assert world.segment.members(TRAIT) == {"ann"}


@pytest.mark.parametrize("left", [0, 19])
def test_a_sync_that_finds_too_few_exports_left_spends_none_and_its_configuration_lets_it_through(
    world: World, left: int
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.counted = Usage(500 - left, 500, "2026-12-01")

    with pytest.raises(FewExportsLeftError, match="No export was spent") as refused:
        world.attempt("c1", run="a", min_exports_left=20, run_configuration={"cohort_id": "c1"})

    assert world.amplitude.exports_spent == 0
    assert not refused.value.retryable
    assert (refused.value.left, refused.value.resets_at) == (left, "2026-12-01")
    assert refused.value.run_configuration == {"cohort_id": "c1", "min_exports_left": 0}
    world.sync("c1", run="b", min_exports_left=0)
    assert world.segment.members(TRAIT) == {"ann"}


@pytest.mark.parametrize("usage", [Usage(480, 500, None), None])
def test_enough_exports_and_a_usage_that_is_not_known_refuse_nothing(world: World, usage: Usage | None) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.counted = usage

    world.sync("c1", min_exports_left=20)

    assert world.segment.members(TRAIT) == {"ann"}


def test_a_retry_goes_on_with_its_export_however_few_are_left_by_then(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.counted = Usage(480, 500, None)
    world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]
    world.attempt("c1", run="a", wait_for_export=False, min_exports_left=20)
    world.amplitude.counted = Usage(481, 500, None)

    world.sync("c1", run="a", min_exports_left=20)

    assert world.amplitude.exports_spent == 1
    assert world.segment.members(TRAIT) == {"ann"}


def test_retry_after_is_waited_out_without_spending_retries(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.segment.script = [RetryLater(429, 30.0, "slow down")] * 25

    world.sync("c1")

    assert world.segment.members(TRAIT) == {"ann"}


def test_another_routing_is_another_stream(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")

    report = world.sync("c1", integrations={"All": False, "Braze": True})

    assert report.destinations[0].entered == 1
    assert world.segment.bodies[-1]["integrations"] == {"All": False, "Braze": True}


def test_bodies_leave_room_for_what_the_client_adds(world: World) -> None:
    """With OAuth, the client puts the write key into each body."""
    world.amplitude.cohort("c1", "Power Users", [f"{number:04d}{'x' * 600}" for number in range(1_000)])
    world.segment.added_bytes = 200_000

    world.sync("c1")

    sizes = [len(json.dumps(body, separators=(",", ":"), ensure_ascii=False)) for body in world.segment.bodies]
    assert 270_000 < max(sizes) <= 275_000
