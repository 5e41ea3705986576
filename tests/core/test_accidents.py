"""An accident of a sync is reported correctly, and holds up no other destination."""

import threading
from pathlib import Path

import pytest
from fakes import World
from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.response import Response, no_response
from airflow_provider_amplitude_segment.core.export.cohort import MAX_EXPORT_MEMBERS
from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.ledger.claim import CLAIM_SECONDS, take_claim
from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete, Skipped
from airflow_provider_amplitude_segment.exceptions import (
    ClaimLostError,
    CohortNotFoundError,
    EmptyCohortError,
    EngineError,
    ExitRatioError,
    ExportFileError,
    SegmentUnavailableError,
    StatePathError,
    StateUnavailableError,
)

TRAIT = "Power Users (c1)"


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


class Timeout(BaseException):
    """Airflow's execution_timeout."""


def test_a_state_path_that_fails_in_the_middle_says_so_and_is_retried(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 3000))

    def fail(name: str) -> None:
        if "acked-" in name:
            raise StatePathError("/state", "No space left on device")

    world.store.before_write = fail
    with pytest.raises(StateUnavailableError) as failed:
        world.attempt("c1", run="a")

    assert failed.value.retryable
    assert "Nothing was sent" not in str(failed.value)
    world.store.before_write = lambda _name: None
    world.sync("c1", run="a")
    assert world.segment.members(TRAIT) == set(users(0, 3000))


def test_the_report_is_true_after_a_timeout_in_the_middle(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 5000))
    sync = world.prepare("c1", run="a", max_concurrent_requests=1)
    world.segment.before_batch = lambda _messages: world.clock.pass_by(0.6)

    def time_out() -> None:
        if world.segment.identifies >= 1000:
            world.store.before_listing = lambda: None
            raise Timeout

    world.store.before_listing = time_out
    with pytest.raises(Timeout):
        sync.run()

    assert 1000 <= world.segment.identifies < 5000
    destination = sync.report.destinations[0]
    assert destination.acknowledged == world.segment.identifies
    assert destination.pending == 5000 - world.segment.identifies
    assert destination.error == "Timeout"
    world.sync("c1", run="a")
    assert world.segment.members(TRAIT) == set(users(0, 5000))
    assert set(world.segment.times_received.values()) == {1}


@pytest.mark.parametrize("error", [Timeout(), MemoryError(), OSError()], ids=["time-out", "memory", "other library"])
@pytest.mark.parametrize("at", [250, 5000], ids=["the first write", "the last write"])
def test_a_write_of_the_journal_that_is_cut_short_is_made_up_for(at: int, error: BaseException, world: World) -> None:
    """What Segment acknowledged is in the journal, so the retry sends nothing twice."""
    world.amplitude.cohort("c1", "Power Users", users(0, 5000))
    sync = world.prepare("c1", run="a", max_concurrent_requests=1)
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if "acked-" in name and not failed and world.segment.identifies >= at:
            failed.append(name)
            raise error

    world.store.before_write = fail_once
    with pytest.raises(type(error)):
        sync.run()

    destination = sync.report.destinations[0]
    assert failed
    assert destination.acknowledged == world.segment.identifies
    world.sync("c1", run="a")
    assert world.segment.members(TRAIT) == set(users(0, 5000))
    assert set(world.segment.times_received.values()) == {1}


def test_an_accident_at_one_destination_does_not_stop_another(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 3000))
    sync = world.prepare("c1", run="a", keys=("default", "emea"))
    segment_clients = dict(sync._session.ports.segment_clients)
    broken = next(destination for destination in segment_clients if destination.name == "dst-default")

    def break_down(_body: bytes) -> Response:
        raise OSError("a text that may quote anything")

    segment_clients[broken] = Source(break_down)
    object.__setattr__(sync._session.ports, "segment_clients", segment_clients)

    with pytest.raises(OSError, match="anything"):
        sync.run()

    reports = {report.destination: report for report in sync.report.destinations}
    assert reports["dst-emea"].committed
    assert reports["dst-default"].error == "OSError"
    assert world.segment.members(TRAIT, "emea") == set(users(0, 3000))
    assert threading.active_count() < 10


def test_a_place_that_is_slow_to_list_is_waited_for_and_one_that_is_too_slow_is_named(world: World) -> None:
    halt = threading.Event()
    for seconds in (1.05, 12.0):
        monitor = ClaimMonitor(lambda seconds=seconds: world.clock.pass_by(seconds), world.clock)  # type: ignore[misc]
        monitor.verify()
        assert monitor.wait_until_verified(halt)

    with pytest.raises(StateUnavailableError, match="31 s to list"):
        ClaimMonitor(lambda: world.clock.pass_by(31), world.clock).verify()


def test_an_owner_that_was_paused_sends_nothing_before_it_has_looked(world: World) -> None:
    """Its sender waits until the claims are verified, and finds the rival."""
    world.amplitude.cohort("c1", "Power Users", users(0, 3000))
    stream = Stream("1234", "c1", world.destination())
    sent_when_paused: list[int] = []

    def pause(_messages: object) -> None:
        if world.segment.identifies >= 250 and not sent_when_paused:
            # The rival claims before the owner's clock goes on, because the journal's thread looks meanwhile.
            take_claim(world.store, stream, world.run_named("b"), world.clock.now() + CLAIM_SECONDS + 10)
            world.clock.pass_by(CLAIM_SECONDS + 10)
            sent_when_paused.append(world.segment.identifies)

    world.segment.before_batch = pause
    with pytest.raises(ClaimLostError):
        world.attempt("c1", run="a", max_concurrent_requests=1)

    # The batch in flight when it was paused arrives; none after it.
    assert world.segment.identifies <= sent_when_paused[0] + 2500


def test_a_worker_without_disk_is_told_from_a_bad_export_and_keeps_the_export(world: World, tmp_path: Path) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    sync = world.prepare("c1", run="a")
    (sync._session.ports.scratch / "members.parquet").mkdir()

    with pytest.raises(EngineError) as failed:
        sync.run()

    assert failed.value.retryable
    world.sync("c1", run="a")
    assert world.amplitude.exports_spent == 1
    assert tmp_path.exists()


def test_a_guards_let_through_keeps_what_the_run_was_configured_with(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 300))
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", users(0, 10))

    with pytest.raises(ExitRatioError) as refused:
        world.attempt("c1", run_configuration={"cohort_id": "c1"})
    assert refused.value.run_configuration == {"cohort_id": "c1", "max_exit_ratio": None}


def test_a_skipped_sync_leaves_a_report_too(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", [])

    assert isinstance(world.attempt("c1", on_empty_cohort="skip"), Skipped)
    assert sum("reports/" in name for name in world.store.objects) == 2


def test_a_dry_run_beside_an_unfinished_plan_plans_anew_and_leaves_the_plan_alone(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 600))
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a", max_concurrent_requests=1)
    world.segment.script = []

    dry = world.sync("c1", run="a", dry_run=True)
    assert dry.destinations[0].planned_changes
    assert (dry.destinations[0].planned, dry.destinations[0].in_doubt) == (350, 350)

    report = world.sync("c1", run="a")
    assert report.destinations[0].planned == 600
    assert set(world.segment.times_received.values()) == {1}
    assert world.amplitude.exports_spent == 1


def test_a_resumed_sync_reports_what_the_export_held_although_it_is_not_read_again(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", ""])
    world.segment.script = [no_response("ConnectionError")] * 20
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1", run="a")
    world.segment.script = []

    report = world.sync("c1", run="a")

    assert (report.rows, report.members, report.anonymous) == (3, 2, 1)
    assert world.amplitude.downloads == 1


def test_a_refused_user_of_whom_segment_may_hold_either_value_stays_in_doubt(world: World) -> None:
    """False was sent and its response lost; false again was rejected. A user who returns is sent true again."""
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.segment.lost = [no_response("ReadTimeout")]
    world.segment.script = [None, *[no_response("ConnectionError")] * 20]
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1")
    world.segment.script = []
    world.segment.poisoned = {"ann"}
    assert world.sync("c1", on_rejected="warn").destinations[0].rejected == 1

    world.segment.poisoned = set()
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.sync("c1")

    assert world.segment.members(TRAIT) == {"ann", "bob"}


def test_an_older_export_is_never_told_after_a_newer_one(world: World) -> None:
    """A run that was deferred so long that another overtook it asks for a new export."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]
    assert world.attempt("c1", run="slow", wait_for_export=False) == ExportIncomplete(
        "export-1", {"1234/c1/dst-default": 1}
    )
    world.clock.pass_by(24 * 3600)
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    world.sync("c1", run="quick")

    world.sync("c1", run="slow")

    assert world.segment.members(TRAIT) == {"bob"}
    assert world.amplitude.exports_spent == 3


def test_an_export_is_used_for_seven_days_and_not_longer(world: World) -> None:
    for days, exports in ((6, 1), (8, 2)):
        world.amplitude.exports.clear()
        world.amplitude.cohort("c1", "Power Users", [f"user-{days}"])
        world.amplitude.answers_before_completion = [ExportPending("JOB INPROGRESS")]
        world.attempt("c1", run=f"run-{days}", wait_for_export=False)
        world.clock.pass_by(days * 24 * 3600)
        world.sync("c1", run=f"run-{days}")
        assert world.amplitude.exports_spent == exports


def test_a_timeout_while_the_first_batch_is_out_keeps_what_came_of_it(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(0, 10))
    sync = world.prepare("c1", run="a")
    world.segment.before_batch = lambda _messages: world.clock.pass_by(0.6)
    timed_out = threading.Event()

    def linger() -> None:
        timed_out.wait(5)

    def time_out() -> None:
        if world.segment.identifies:
            world.store.before_listing = lambda: None
            timed_out.set()
            raise Timeout

    world.segment.before_answer = linger
    world.store.before_listing = time_out
    with pytest.raises(Timeout):
        sync.run()

    assert sync.report.destinations[0].acknowledged == world.segment.identifies == 10


def test_an_error_before_the_claims_is_in_the_report_too(world: World) -> None:
    with pytest.raises(CohortNotFoundError) as failed:
        world.attempt("unknown")
    assert [d.error for d in world.report.destinations] == [str(failed.value)]


def test_a_guard_is_told_although_the_run_cannot_be_forgotten(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", [])

    def fail() -> None:
        raise StatePathError("/state", "Read-only file system")

    world.store.before_delete = fail
    with pytest.raises(EmptyCohortError):
        world.attempt("c1")


def test_an_export_of_as_many_rows_as_amplitude_exports_at_most_is_refused(world: World, tmp_path: Path) -> None:
    """It may be cut off there; one row less is taken, anonymous users and all."""
    world.amplitude.cohort("c1", "Power Users", [])
    rows = b'"1",""\n' * (MAX_EXPORT_MEMBERS - 1)
    for number, more in ((1, b'"2","ann"\n'), (2, b"")):
        file = tmp_path / f"{number}.csv"
        file.write_bytes(b'"amplitude_id","user_id"\n' + rows + more)
        world.amplitude.files[f"export-{number}"] = file

    with pytest.raises(ExportFileError, match="2,000,000 rows, and Amplitude cuts an export off") as refused:
        world.attempt("c1")
    assert not refused.value.retryable
    assert world.segment.identifies == 0

    assert world.sync("c1").rows == MAX_EXPORT_MEMBERS - 1


def test_an_owner_that_was_taken_over_before_it_asked_for_an_export_spends_none(world: World) -> None:
    """It may be this very run's retry that took over, and the retry's export is not to be forgotten."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    stream = Stream("1234", "c1", world.destination())
    listings: list[float] = []

    def pause() -> None:
        listings.append(world.clock.now())
        if len(listings) == 2:
            world.clock.pass_by(CLAIM_SECONDS + 10)
            take_claim(world.store, stream, world.run_named("a", 2), world.clock.now())

    world.store.before_listing = pause
    with pytest.raises(ClaimLostError):
        world.attempt("c1", run="a")

    assert world.amplitude.exports_spent == 0
    assert not any("/runs/" in name for name in world.store.objects)
