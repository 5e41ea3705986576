"""What makes an event of two looks at the list of cohorts, and what does not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_amplitude_segment.core.export.cohort import Cohort, read_cohorts
from airflow_provider_amplitude_segment.core.export.cohort_change import (
    CohortChange,
    SeenCohort,
    Watched,
    compare_list,
    seen_from_json,
    seen_to_json,
)

ALL = Watched()
COHORT = Cohort("26umsb5", "Power Users", "187520", size=312, last_computed=1000.0)
NOW = 10_000.0
HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0


class Watcher:
    """Looks at lists one after another, and remembers as a trigger does."""

    def __init__(self, watched: Watched = ALL) -> None:
        self.watched = watched
        self.seen: dict[str, SeenCohort] = {}
        self.missing: frozenset[str] = frozenset()
        self.ahead: frozenset[str] = frozenset()

    def look(self, *cohorts: Cohort, now: float = NOW) -> tuple[CohortChange, ...]:
        comparison = compare_list(self.seen, cohorts, self.watched, now)
        self.seen = comparison.seen | {change.cohort.cohort_id: change.seen for change in comparison.changes}
        self.missing, self.ahead = comparison.missing, comparison.ahead
        return comparison.changes

    def changed(self, cohort: Cohort, now: float) -> tuple[str, ...]:
        """Look at one cohort; return what the event says that changed, or nothing."""
        return tuple(name for change in self.look(cohort, now=now) for name in change.changed)


def test_the_first_look_makes_no_event_also_at_a_cohort_that_comes_later() -> None:
    watcher = Watcher()

    assert not watcher.look(COHORT)
    assert not watcher.look(COHORT, replace(COHORT, cohort_id="9apg8e8f"))


@pytest.mark.parametrize(
    ("new", "changed"),
    [
        ({"last_computed": 1001.0}, ("computed_at",)),
        ({"size": 313}, ("size",)),
        ({"name": "Power users"}, ("name",)),
        ({"archived": True}, ("archived",)),
        (
            {"last_computed": 2000.0, "size": 0, "name": "", "archived": True},
            ("computed_at", "size", "name", "archived"),
        ),
    ],
)
def test_a_change_makes_one_event_that_says_what_changed(new: dict[str, Any], changed: tuple[str, ...]) -> None:
    watcher = Watcher()
    watcher.look(COHORT)

    (change,) = watcher.look(replace(COHORT, **new))

    assert change.changed == changed
    assert not watcher.look(replace(COHORT, **new))


def test_a_cohort_that_was_never_computed_makes_an_event_when_it_is() -> None:
    watcher = Watcher()
    watcher.look(replace(COHORT, size=None, last_computed=None))

    (change,) = watcher.look(COHORT)

    assert change.changed == ("computed_at", "size")


def test_what_amplitude_does_not_know_for_a_while_is_no_change() -> None:
    watcher = Watcher()
    watcher.look(COHORT)

    assert not watcher.look(replace(COHORT, size=None, last_computed=None))
    assert not watcher.look(COHORT)


def test_an_old_copy_of_the_list_makes_no_event() -> None:
    watcher = Watcher()
    new = replace(COHORT, last_computed=1300.0, size=400)
    watcher.look(COHORT)

    assert [bool(watcher.look(each)) for each in (new, COHORT, new)] == [True, False, False]


def test_a_cohort_that_the_list_left_out_for_a_while_makes_an_event_only_if_it_changed() -> None:
    watcher = Watcher()
    watcher.look(COHORT)

    assert not watcher.look()
    assert not watcher.look(COHORT)
    watcher.look()
    assert watcher.look(replace(COHORT, size=313))


def test_only_the_watched_cohorts_make_events() -> None:
    other, groups = replace(COHORT, cohort_id="9apg8e8f"), replace(COHORT, cohort_id="g", group_type="org")
    everything, named = Watcher(), Watcher(Watched(frozenset({"26umsb5"})))
    for watcher in (everything, named):
        watcher.look(COHORT, other, groups)

    new = [replace(cohort, size=1) for cohort in (COHORT, other, groups)]

    assert [change.cohort.cohort_id for change in everything.look(*new)] == ["26umsb5", "9apg8e8f"]
    assert [change.cohort.cohort_id for change in named.look(*new)] == ["26umsb5"]


@pytest.fixture
def quiet() -> Watcher:
    """A watcher of a DAG that exports; its first look was long before the events."""
    watcher = Watcher(Watched(quiet_seconds=1800))
    watcher.look(COHORT, now=1000.0)
    return watcher


def test_the_export_that_an_event_starts_makes_no_next_event_within_the_quiet_seconds(quiet: Watcher) -> None:
    assert quiet.changed(replace(COHORT, last_computed=4600.0), 4700)
    assert not quiet.changed(replace(COHORT, last_computed=5000.0, size=320), 5100), "the export computed it again"
    assert not quiet.changed(replace(COHORT, last_computed=6399.0), 6400)
    assert quiet.changed(replace(COHORT, last_computed=8200.0), 8300), "Amplitude's next hour"


def test_the_quiet_seconds_begin_when_the_event_is_made_also_long_after_the_computation(quiet: Watcher) -> None:
    """Amplitude was down for an hour; the run exports after that."""
    assert quiet.changed(replace(COHORT, last_computed=20_000.0), 23_700)
    assert not quiet.changed(replace(COHORT, last_computed=23_800.0), 24_000)
    assert quiet.changed(replace(COHORT, last_computed=27_200.0), 27_300)


def test_an_export_within_the_quiet_seconds_makes_no_event_also_when_it_is_seen_after_them(quiet: Watcher) -> None:
    assert quiet.changed(replace(COHORT, last_computed=20_000.0), 20_100)
    assert not quiet.changed(replace(COHORT, last_computed=20_400.0), 20_400 + HOUR)


@pytest.mark.parametrize(("new", "changed"), [({"name": "Fans"}, "name"), ({"size": 500}, "size")])
def test_the_export_of_a_run_that_another_change_started_makes_no_next_event(
    quiet: Watcher, new: dict[str, Any], changed: str
) -> None:
    later = replace(COHORT, **new)

    assert quiet.changed(later, NOW + DAY) == (changed,)
    assert not quiet.changed(replace(later, last_computed=NOW + DAY + 60), NOW + DAY + 300)
    assert quiet.changed(replace(later, last_computed=NOW + 2 * DAY), NOW + 2 * DAY)


def test_a_size_that_changes_without_a_computation_makes_an_event_each_time(quiet: Watcher) -> None:
    computed = replace(COHORT, last_computed=NOW)
    assert quiet.changed(computed, NOW)

    assert quiet.changed(replace(computed, size=500), NOW + 60) == ("size",)
    assert quiet.changed(replace(computed, size=9000), NOW + WEEK) == ("size",)


def test_a_run_triggered_by_hand_after_the_first_look_makes_no_event() -> None:
    watcher = Watcher(Watched(quiet_seconds=1800))
    watcher.look(COHORT, now=NOW)

    assert not watcher.changed(replace(COHORT, last_computed=NOW + 600), NOW + 900)
    assert watcher.changed(replace(COHORT, last_computed=NOW + HOUR), NOW + HOUR)


def test_the_first_computation_after_the_first_look_is_never_quiet() -> None:
    """A new cohort is listed before Amplitude has computed it."""
    watcher = Watcher(Watched(quiet_seconds=1800))
    watcher.look(replace(COHORT, size=None, last_computed=None), now=NOW)

    assert watcher.changed(replace(COHORT, last_computed=NOW + 60), NOW + 300) == ("computed_at", "size")


def test_without_quiet_seconds_each_computation_makes_an_event_also_one_before_the_last_event() -> None:
    watcher = Watcher()
    watcher.look(COHORT, now=NOW)

    assert watcher.changed(replace(COHORT, last_computed=NOW - 600), NOW)
    assert watcher.changed(replace(COHORT, last_computed=NOW - 300), NOW + 60)


def test_an_event_made_by_a_clock_that_was_ahead_keeps_nothing_quiet(quiet: Watcher) -> None:
    assert quiet.changed(replace(COHORT, last_computed=NOW), NOW + 365 * DAY)

    assert quiet.changed(replace(COHORT, last_computed=NOW + DAY), NOW + DAY)


@pytest.mark.parametrize(("new", "changed"), [({"name": "Fans"}, "name"), ({"archived": True}, "archived")])
def test_a_new_name_or_archiving_makes_an_event_also_within_the_quiet_seconds(
    quiet: Watcher, new: dict[str, Any], changed: str
) -> None:
    quiet.look(replace(COHORT, last_computed=4600.0), now=4600)

    assert quiet.changed(replace(COHORT, last_computed=4700.0, **new), 4700) == ("computed_at", changed)


@pytest.mark.parametrize("is_first_look", [True, False])
def test_a_time_ahead_of_the_clock_makes_no_event_and_hides_no_later_one(*, is_first_look: bool) -> None:
    watcher, wrong = Watcher(), replace(COHORT, last_computed=9e9)
    if not is_first_look:
        watcher.look(COHORT)

    assert not watcher.changed(wrong, NOW)
    assert watcher.ahead == {"26umsb5"}
    (change,) = watcher.look(replace(wrong, name="Fans", size=400, archived=True))
    assert change.changed == ("size", "name", "archived")
    assert change.payload["computed_at"] is None
    now = NOW + HOUR
    assert watcher.changed(replace(COHORT, name="Fans", size=400, archived=True, last_computed=now), now)
    assert not watcher.ahead


@pytest.mark.parametrize(("seconds", "changed"), [(300, ("computed_at",)), (301, ())])
def test_a_time_ahead_by_no_more_than_clocks_may_differ_counts(seconds: float, changed: tuple[str, ...]) -> None:
    watcher = Watcher()
    watcher.look(COHORT)

    assert watcher.changed(replace(COHORT, last_computed=NOW + seconds), NOW) == changed


def test_a_time_seen_by_a_clock_that_was_ahead_hides_no_later_one() -> None:
    watcher = Watcher()
    watcher.look(replace(COHORT, last_computed=NOW + DAY), now=NOW + DAY)

    assert watcher.changed(replace(COHORT, last_computed=NOW + 60), NOW + 60) == ("computed_at",)


def test_an_earlier_time_hides_no_new_name_but_its_size_is_old() -> None:
    watcher = Watcher()
    watcher.look(replace(COHORT, last_computed=1300.0, size=400))

    assert watcher.changed(replace(COHORT, name="Fans"), NOW) == ("name",)
    assert not watcher.changed(replace(COHORT, name="Fans", last_computed=1300.0, size=400), NOW)


def test_a_watched_cohort_that_the_list_does_not_show_is_missing() -> None:
    watcher, everything = Watcher(Watched(frozenset({"26umsb5", "mistyped"}))), Watcher()

    for each in (watcher, everything):
        each.look(COHORT)
    assert watcher.missing == {"mistyped"}
    assert everything.missing == frozenset()


def test_an_event_holds_plain_values_and_the_time_as_text() -> None:
    watcher = Watcher()
    watcher.look(COHORT)
    (change,) = watcher.look(replace(COHORT, last_computed=1679440233.0), now=1679440300.0)

    assert json.loads(json.dumps(change.payload)) == {
        "cohort_id": "26umsb5",
        "name": "Power Users",
        "size": 312,
        "computed_at": "2023-03-21T23:10:33+00:00",
        "archived": False,
        "changed": ["computed_at"],
    }


@pytest.mark.parametrize("listed", [1679440233, 1679440233.0, 1679440233000])
def test_the_time_is_read_from_seconds_and_from_milliseconds(listed: float) -> None:
    body = json.dumps({"cohorts": [{"id": "26umsb5", "name": "x", "lastComputed": listed}]}).encode()

    (cohort,) = read_cohorts(200, body)

    assert cohort.computed_at is not None
    assert cohort.computed_at.isoformat() == "2023-03-21T23:10:33+00:00"


@pytest.mark.parametrize("listed", [None, "soon", -1, True, 1e300, []])
def test_a_time_that_no_calendar_has_is_none_and_breaks_nothing(listed: object) -> None:
    body = json.dumps({"cohorts": [{"id": "26umsb5", "name": "x", "lastComputed": listed}]}).encode()

    (cohort,) = read_cohorts(200, body)

    assert cohort.computed_at is None


def test_an_event_lost_between_two_looks_is_made_at_the_next_one() -> None:
    """A trigger that was killed after some events of a list goes on with the others."""
    first, second = COHORT, replace(COHORT, cohort_id="9apg8e8f")
    seen = compare_list({}, [first, second], ALL, NOW).seen
    new = [replace(first, size=1), replace(second, size=2)]
    comparison = compare_list(seen, new, ALL, NOW)
    half = seen_from_json(seen_to_json(comparison.seen | {"26umsb5": comparison.changes[0].seen}))

    assert [change.cohort.cohort_id for change in compare_list(half, new, ALL, NOW).changes] == ["9apg8e8f"]


def test_every_change_of_random_lists_makes_exactly_one_event_over_restarts() -> None:
    draw = random.Random(16)  # noqa: S311 - a seeded history
    cohorts = {str(number): replace(COHORT, cohort_id=str(number)) for number in range(40)}
    watcher, made, expected = Watcher(), 0, 0
    watcher.look(*cohorts.values())
    for step in range(300):
        moved = draw.sample(sorted(cohorts), draw.randint(0, 5))
        for cohort_id in moved:
            cohorts[cohort_id] = replace(cohorts[cohort_id], last_computed=2000.0 + step, size=draw.randint(0, 99))
        expected += len(moved)
        if draw.random() < 0.2:
            watcher.seen = seen_from_json(json.loads(json.dumps(seen_to_json(watcher.seen))))
        made += len(watcher.look(*cohorts.values()))

    assert made == expected
