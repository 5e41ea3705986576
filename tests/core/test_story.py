"""The task's log as a story: what folds under which heading, and what its last lines say."""

import logging

import pytest
from fakes.world import World

from airflow_provider_amplitude_segment.core.export.responses import ExportPending
from airflow_provider_amplitude_segment.core.report.outcome import ExportIncomplete
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.summary import summarize
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, ExitRatioError

PENDING = ExportPending("JOB INPROGRESS")
STEPS = [
    "Request the export",
    "Read the export",
    "Compare with the ledger",
    "Send to Segment",
]


@pytest.fixture(autouse=True)
def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def groups(caplog: pytest.LogCaptureFixture) -> dict[str, list[str]]:
    """Return what folds under each heading, as Airflow's log views find it; fails on a group that is open or nested."""
    found: dict[str, list[str]] = {}
    title = None
    for record in caplog.records:
        line = record.getMessage()
        if line.startswith("::group::"):
            assert title is None, f"{line} within {title}"
            assert record.levelno == logging.INFO
            title = line.removeprefix("::group::")
            found[title] = []
        elif line == "::endgroup::":
            assert title is not None, "nothing is open"
            title = None
        elif title is not None:
            assert "group::" not in line
            found[title].append(line)
    assert title is None, f"{title} is never closed"
    return found


def test_a_sync_is_told_in_four_steps(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", "", "", ""])

    world.sync("c1")

    logged = groups(caplog)
    assert list(logged) == STEPS
    assert any("2 members, 3 anonymous (skipped)" in line for line in logged[STEPS[1]])
    assert any("2 entered, 0 exited" in line for line in logged[STEPS[2]])
    assert any("2 planned = 2 acknowledged + 0 rejected + 0 pending" in line for line in logged[STEPS[3]])


def test_several_destinations_share_one_heading_and_each_line_names_its_own(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """They are delivered in parallel, so headings of their own would overlap."""
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    world.sync("c1", keys=("default", "emea"))

    logged = groups(caplog)[STEPS[3]]
    assert {line.partition(":")[0] for line in logged} == {"segment_default", "segment_emea"}


def test_a_group_ends_when_segment_cannot_be_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.segment.refuses_connections = True

    with pytest.raises(AmplitudeSegmentError):
        world.sync("c1")

    assert list(groups(caplog)) == STEPS


def test_a_group_ends_when_the_task_is_deferred_and_what_follows_begins_anew(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.answers_before_completion = [PENDING]

    assert isinstance(world.attempt("c1", run="r", wait_for_export=False), ExportIncomplete)
    assert list(groups(caplog)) == STEPS[:2]
    caplog.clear()
    world.sync("c1", run="r")

    assert list(groups(caplog)) == STEPS


def test_a_refused_sync_has_no_open_group(world: World, caplog: pytest.LogCaptureFixture) -> None:
    everyone = [f"user-{n}" for n in range(300)]
    world.amplitude.cohort("c1", "Power Users", everyone)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", everyone[:10])
    caplog.clear()

    with pytest.raises(ExitRatioError):
        world.sync("c1")

    assert list(groups(caplog)) == STEPS[:3]


def test_a_group_ends_when_the_task_times_out(caplog: pytest.LogCaptureFixture) -> None:
    """Airflow's timeout is no ``Exception``."""
    with pytest.raises(KeyboardInterrupt), log_group("Wait"):
        raise KeyboardInterrupt

    assert groups(caplog) == {"Wait": []}


def test_a_long_wait_for_an_export_is_a_line_a_minute(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.amplitude.answers_before_completion = [PENDING] * 60  # ten minutes, at ten seconds each

    world.sync("c1")

    waiting = [line for line in groups(caplog)[STEPS[1]] if "Amplitude says" in line]
    assert 10 <= len(waiting) <= 12


def test_the_summary_says_what_moved_and_what_is_known_now(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", ""])
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", ["bob", "cat", "dan", ""])

    report = world.sync("c1")

    assert report.destinations[0].known == 3
    assert summarize(report, ending="done.") == [
        "Summary: done.",
        "- Amplitude: cohort 'Power Users' (c1) has 3 members, 1 without a user ID skipped",
        (
            "- segment_default: 2 entered, 1 exited; 3 of 3 changes acknowledged by Segment. "
            "Now 3 users are true under 'Power Users (c1)'. Saved as generation 2."
        ),
    ]


def test_the_summary_of_a_quiet_day_says_that_nobody_moved(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")

    last = summarize(world.sync("c1"), ending="done.")[-1]

    assert last == (
        "- segment_default: no changes. Now 1 users are true under 'Power Users (c1)'. Saved as generation 2."
    )


def test_the_summary_of_a_failed_sync_says_what_is_still_to_be_told_and_why(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.refuses_connections = True
    with pytest.raises(AmplitudeSegmentError):
        world.sync("c1")

    last = summarize(world.report, ending="FAILED.")[-1]

    assert "0 of 2 changes acknowledged by Segment; 2 pending" in last
    assert "not committed" in last
    assert "retries are spent" in last


def test_a_refused_user_is_not_among_those_known(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", "cat"])
    world.segment.poisoned.add("bob")

    report = world.sync("c1", on_rejected="warn")

    assert report.destinations[0].known == 2
    assert "1 rejected by Segment (listed in " in summarize(report, ending="done.")[-1]


def test_the_summary_of_a_dry_run_promises_nothing(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    last = summarize(world.sync("c1", dry_run=True), ending="done.")[-1]

    assert "A dry run: 1 changes planned (listed in " in last
    assert "nothing was sent" in last


def test_neither_log_nor_summary_names_a_user(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.amplitude.cohort("c1", "Power Users", ["ann@example.com"])

    report = world.sync("c1")

    assert "ann@" not in caplog.text + "".join(summarize(report, ending="done."))


def test_what_a_sync_shows_of_itself_ends_with_all_that_was_planned(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["someone@example.com", "bob"])
    shown: list[dict[str, object]] = []
    world.show = lambda facts: shown.append(dict(facts))

    world.sync("c1")

    assert [facts["step"] for facts in shown if "step" in facts] == STEPS
    assert shown[-1] == {"destination": "segment_default", "delivered": 2, "planned": 2, **_unmeasured(shown[-1])}
    assert "someone" not in repr(shown)


def _unmeasured(facts: dict[str, object]) -> dict[str, object]:
    return {name: facts[name] for name in ("per_second", "seconds_left")}
