"""What a sync costs, in counts that are the same on every machine; ``make bench`` measures the rest."""

import json
import math
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_BYTES, MAX_BATCH_MESSAGES
from airflow_provider_amplitude_segment.core.delivery.delivery import FIRST_MESSAGES
from airflow_provider_amplitude_segment.core.delivery.fan_out import share_rate_limiters
from airflow_provider_amplitude_segment.core.delivery.identify import identify_messages
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
from airflow_provider_amplitude_segment.core.ledger.stream import Destination

MEMBERS = 20_000


def users(count: int) -> list[str]:
    """24 characters each, as an object ID of MongoDB has."""
    return [f"{number * 7_919:024x}" for number in range(count)]


def size_of(body: dict[str, Any]) -> int:
    return len(json.dumps(body, separators=(",", ":")))


def full_bodies(world: World) -> list[dict[str, Any]]:
    """The first one is small on purpose, and the one with the last user holds what is left; it may overtake others."""
    first, *others = world.segment.bodies
    last = max(others, key=lambda body: body["batch"][-1]["userId"])
    assert len(first["batch"]) == FIRST_MESSAGES
    return [body for body in others if body is not last]


def test_a_first_sync_takes_as_few_requests_as_segments_limits_allow(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(MEMBERS))

    report = world.sync("c1")

    full = full_bodies(world)
    most = max(len(body["batch"]) for body in full)
    assert report.destinations[0].batches == 1 + math.ceil((MEMBERS - FIRST_MESSAGES) / most)
    for body in full:
        assert size_of(body) >= 0.97 * MAX_BATCH_BYTES or len(body["batch"]) == MAX_BATCH_MESSAGES
    assert report.destinations[0].retries == 0


def test_long_ids_fill_requests_by_their_bytes(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", [f"{user}-{user}-{user}" for user in users(5_000)])

    world.sync("c1")

    full = full_bodies(world)
    assert full
    for body in full:
        assert 0.97 * MAX_BATCH_BYTES <= size_of(body) <= MAX_BATCH_BYTES
        assert len(body["batch"]) < MAX_BATCH_MESSAGES


def test_a_paced_delivery_writes_its_journal_twice_a_second_and_not_for_each_batch(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(MEMBERS))

    world.sync("c1", events_per_second=1000)

    journals = [name for name in world.store.writes if "/acked-" in name]
    assert len(world.segment.bodies) == MEMBERS / 125
    assert 20 <= len(journals) <= 2.2 * MEMBERS / 1000


def test_an_identify_has_less_than_twice_the_bytes_of_what_it_must_say(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(MEMBERS))

    world.sync("c1")

    sent = sum(len(json.dumps(body, separators=(",", ":"))) for body in world.segment.bodies)
    least = '{"type":"identify","userId":"%s","traits":{"Power Users (c1)":true}}' % users(1)[0]  # noqa: UP031
    assert sent / MEMBERS < 2.2 * len(least)
    assert sent / MEMBERS < 195


@pytest.mark.parametrize("members", [2_000, 20_000])
def test_an_incremental_sync_sends_its_movers_and_writes_as_often_however_large_the_cohort(
    world: World, members: int
) -> None:
    everyone = users(members)
    world.amplitude.cohort("c1", "Power Users", everyone)
    world.sync("c1")
    world.amplitude.cohort("c1", "Power Users", [*everyone[100:], *(f"new-{n}" for n in range(100))])
    sent, written = len(world.segment.bodies), len(world.store.writes)

    world.sync("c1")

    assert [len(body["batch"]) for body in world.segment.bodies[sent:]] == [200]
    assert len(world.store.writes) - written <= 16


def test_a_sync_without_movers_asks_segment_nothing(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", users(500))
    world.sync("c1")
    sent = len(world.segment.bodies)

    report = world.sync("c1")

    assert len(world.segment.bodies) == sent
    assert report.destinations[0].committed


def _changes(folder: Path, rows: int) -> Path:
    path = folder / "changes.parquet"
    duckdb.sql(
        f"COPY (SELECT 'Power Users (c1)' AS trait, printf('%024x', range) AS user_id, true AS value"
        f" FROM range({rows}) ORDER BY ALL) TO '{path}' (FORMAT parquet)"
    )
    return path


def test_some_megabytes_of_messages_are_in_memory_at_a_time_however_long_the_plan(tmp_path: Path) -> None:
    """Half a million messages have 90 MB; the engine has half as much."""
    rows = 500_000
    with open_engine(tmp_path, memory_mib=40) as engine:
        chunks = identify_messages(
            engine, _changes(tmp_path, rows), Ranges.of([(0, rows - 1)]), key="k" * 64, timestamp="2026-11-23T13:56:49Z"
        )
        held = [len(chunk.text) for chunk in chunks]

    assert sum(held) > 80_000_000
    assert max(held) < 10_000_000


def test_destinations_of_one_workspace_share_one_pace_and_all_others_have_their_own() -> None:
    first, second = Destination("a", "dst-a", "acme"), Destination("b", "dst-b", "acme")
    other, nameless, also = Destination("c", "dst-c", "umbrella"), Destination("d", "d"), Destination("e", "e")

    paces = share_rate_limiters([first, second, other, nameless, also], 1000)

    assert paces[first] is paces[second]
    assert len({id(rate_limiter) for rate_limiter in paces.values()}) == 4
