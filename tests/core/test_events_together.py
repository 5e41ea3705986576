"""Events together with what else syncs do: many of them, several destinations, properties, take-overs and heals."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import Killed, World
from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES
from airflow_provider_amplitude_segment.core.delivery.event_delivery import WINDOW_EVENTS
from airflow_provider_amplitude_segment.core.delivery.response import Response
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, SegmentRefusedError

ENTERED, EXITED = "Cohort Entered", "Cohort Exited"
ON: dict[str, Any] = {"events": "at-most-once"}
AGAIN: dict[str, Any] = {"events": "at-least-once"}
TRAIT = "Power Users (c1)"
HOUR = 3600.0


def begun(world: World, *members: str, **settings: Any) -> World:
    world.amplitude.cohort("c1", "Power Users", members)
    world.sync("c1", **{**ON, **settings})
    return world


def is_of_events(messages: list[dict[str, Any]]) -> bool:
    return messages[0]["type"] == "track"


def test_many_events_are_sent_within_segments_limits_each_once(world: World) -> None:
    begun(world, "ann")
    users = [f"user{number}" for number in range(5_300)]
    world.amplitude.cohort("c1", "Power Users", ["ann", *users])

    report = world.sync("c1", **ON).destinations[0]

    assert all(world.segment.journey(user) == [ENTERED] for user in users)
    sizes = [len(body["batch"]) for body in world.segment.bodies if is_of_events(body["batch"])]
    assert 2_000 < max(sizes) <= MAX_BATCH_MESSAGES
    assert (sum(sizes), report.events_acknowledged) == (5_300, 5_300)


def started(world: World) -> int:
    """How many events the journals say were started."""
    journals = [json.loads(content) for name, content in world.store.objects.items() if "/acked-" in name]
    return max((last + 1 for entry in journals for _, last in entry.get("events", {}).get("started", ())), default=0)


def test_each_window_is_in_the_journal_before_its_first_event_is_sent_and_a_kill_loses_one_at_most(
    world: World,
) -> None:
    users = [f"user{number:05}" for number in range(2 * WINDOW_EVENTS + 500)]
    begun(world, "ann")
    world.amplitude.cohort("c1", "Power Users", ["ann", *users])
    sent = 0

    def die_in_the_second_window(messages: list[dict[str, Any]]) -> None:
        nonlocal sent
        if is_of_events(messages):
            sent += len(messages)
            assert sent <= started(world) <= sent + WINDOW_EVENTS
            if sent > WINDOW_EVENTS + 3_000:
                world.store.is_dead = True
                raise Killed

    world.segment.before_batch = die_in_the_second_window
    with pytest.raises(Killed):
        world.attempt("c1", run="killed", max_concurrent_requests=1, **ON)
    world.store.revive()
    world.segment.before_batch = lambda _messages: None
    world.clock.pass_by(HOUR)

    report = world.sync("c1", run="other", **ON).destinations[0]

    journeys = [world.segment.journey(user) for user in users]
    assert all(journey in ([ENTERED], []) for journey in journeys)
    assert 0 < journeys.count([]) <= WINDOW_EVENTS - 3_000 + MAX_BATCH_MESSAGES
    # The last window was neither sent nor started.
    assert report.events_planned == 500
    assert world.segment.members(TRAIT) == {"ann", *users}


def test_a_task_that_stops_in_order_leaves_no_event_in_doubt_that_was_in_no_batch(world: World) -> None:
    """Segment is unavailable from the second batch of events on."""
    users = [f"user{number:05}" for number in range(6_000)]
    begun(world, "ann")
    world.amplitude.cohort("c1", "Power Users", ["ann", *users])
    batches = 0

    def fail_the_second(messages: list[dict[str, Any]]) -> None:
        nonlocal batches
        batches += is_of_events(messages)
        if batches == 2:
            world.segment.script = [RetryLater(503, None, "")] * 100

    world.segment.before_batch = fail_the_second
    with pytest.raises(AmplitudeSegmentError):
        world.attempt("c1", run="failed", max_concurrent_requests=1, **ON)
    world.segment.before_batch = lambda _messages: None
    world.segment.script = []
    world.clock.pass_by(HOUR)

    world.sync("c1", run="other", **ON)

    journeys = [world.segment.journey(user) for user in users]
    assert journeys.count([ENTERED]) == len(users) - journeys.count([])
    assert 0 < journeys.count([]) <= 2 * MAX_BATCH_MESSAGES


def test_a_destination_that_fails_has_no_effect_on_the_events_of_another(world: World) -> None:
    both = ("default", "second")
    begun(world, "ann", keys=both)
    world.amplitude.cohort("c1", "Power Users", ["bob"])
    working = world.segment.source

    def failing(key: str) -> Source:
        source = working(key)

        def take(body: bytes) -> Response:
            is_down = key == "second" and b'"track"' in body
            return RetryLater(503, None, "") if is_down else source.post_batch(body, retry=0)

        return Source(take)

    world.segment.source = failing
    with pytest.raises(AmplitudeSegmentError):
        world.attempt("c1", run="failed", keys=both, max_exit_ratio=None, **ON)
    world.segment.source = working
    assert [world.segment.journey(user) for user in ("ann", "bob")] == [[EXITED], [ENTERED]]
    assert [world.segment.journey(user, "second") for user in ("ann", "bob")] == [[], []]

    world.sync("c1", run="failed", keys=both, max_exit_ratio=None, **ON)

    for key in both:
        assert [world.segment.journey(user, key) for user in ("ann", "bob")] == [[EXITED], [ENTERED]]


def test_a_changed_property_has_no_event_and_an_entry_with_properties_has_one(world: World) -> None:
    named: dict[str, Any] = {"user_properties": ("plan",), **ON}
    world.amplitude.properties = {"ann": {"plan": "free"}, "bob": {"plan": "pro"}}
    begun(world, "ann", **named)
    world.amplitude.properties["ann"]["plan"] = "pro"
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])

    report = world.sync("c1", **named).destinations[0]

    assert world.segment.traits("ann") == world.segment.traits("bob") == {TRAIT: True, "plan": "pro"}
    assert [world.segment.journey(user) for user in ("ann", "bob")] == [[], [ENTERED]]
    assert (report.changed, report.entered, report.events_planned) == (1, 1, 1)


def test_members_whom_another_task_takes_over_do_not_enter_and_new_ones_do(world: World) -> None:
    begun(world, "ann", "bob")
    world.amplitude.cohort("c1", "Power Users", ["ann", "cat"])
    other: dict[str, Any] = {"trait_name": "[Amplitude] {cohort_name}", "identity": {"task": "DAG 'weekly'"}}

    world.sync("c1", on_trait_change="take-over", **other, **ON)

    assert world.segment.members("[Amplitude] Power Users") == {"ann", "cat"}
    assert [world.segment.journey(user) for user in ("ann", "bob", "cat")] == [[], [], [ENTERED]]


@pytest.mark.parametrize(("mode", "expected"), [(ON, [[], []]), (AGAIN, [[EXITED], [ENTERED]])])
def test_the_opposite_move_of_an_event_that_is_owed_has_its_event_only_at_least_once(
    tmp_path: Path, mode: dict[str, Any], expected: list[list[str]]
) -> None:
    """The process dies before the plan's identifies are sent; meanwhile the users move back."""
    world = begun(World(tmp_path / "world"), "ann", **mode)
    world.amplitude.cohort("c1", "Power Users", ["bob"])

    def die(_messages: list[dict[str, Any]]) -> None:
        world.store.is_dead = True
        raise Killed

    world.segment.before_batch = die
    with pytest.raises(Killed):
        world.attempt("c1", max_exit_ratio=None, **mode)
    world.store.revive()
    world.segment.before_batch = lambda _messages: None
    world.clock.pass_by(HOUR)
    world.amplitude.cohort("c1", "Power Users", ["ann"])

    world.sync("c1", max_exit_ratio=None, **mode)

    assert world.segment.members(TRAIT) == {"ann"}
    assert [world.segment.journey(user) for user in ("bob", "ann")] == expected


def test_events_that_were_in_no_batch_are_sent_after_segment_refused_the_first_ones(world: World) -> None:
    begun(world, "ann")
    users = [f"user{number:04}" for number in range(3_000)]
    world.amplitude.cohort("c1", "Power Users", ["ann", *users])
    posted = set()

    def refuse(messages: list[dict[str, Any]]) -> None:
        world.segment.refuses_everything = is_of_events(messages)
        posted.update(m["userId"] for m in messages if is_of_events(messages))

    world.segment.before_batch = refuse
    with pytest.raises(SegmentRefusedError):
        world.attempt("c1", **ON)
    world.segment.before_batch = lambda _messages: None
    world.segment.refuses_everything = False
    world.clock.pass_by(HOUR)

    world.sync("c1", **ON)

    assert 0 < len(posted) < 1_000
    assert all(world.segment.journey(user) == ([] if user in posted else [ENTERED]) for user in users)
