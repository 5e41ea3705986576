"""A ledger holds what it needs and no more."""

import pytest
from fakes import World

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.exceptions import SegmentUnavailableError, StatePathError

TRAIT = "Power Users (c1)"


def numbered(world: World, kind: str) -> list[str]:
    names = [name.rsplit("/", 1)[-1] for name in world.store.objects]
    return sorted(name for name in names if name.startswith(f"{kind}-"))


def test_many_syncs_leave_the_last_commits_one_plan_and_one_claim(world: World) -> None:
    for day in range(12):
        world.amplitude.cohort("c1", "Power Users", [f"user-{day}", "always"])
        world.sync("c1", keep_snapshots=3)

    assert numbered(world, "commit") == ["commit-10.json", "commit-11.json", "commit-12.json"]
    assert numbered(world, "snapshot") == [f"snapshot-{n}-{n}.parquet" for n in (10, 11, 12)]
    assert numbered(world, "plan") == ["plan-12.json"]
    # A rollback to commit 10 needs the changes of plans 11 and 12.
    assert numbered(world, "changes") == ["changes-11.parquet", "changes-12.parquet"]
    assert numbered(world, "claim") == ["claim-12.json"]
    assert sum("/reports/" in name for name in world.store.objects) == 12
    assert world.segment.members(TRAIT) == {"user-11", "always"}


def test_abandoned_plans_are_folded_and_then_taken_away(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann"])
    world.sync("c1")
    for day in range(6):
        world.amplitude.cohort("c1", "Power Users", [f"user-{day}"])
        world.segment.script = [no_response("ConnectionError")] * 20
        with pytest.raises(SegmentUnavailableError):
            world.attempt("c1")
        world.segment.script = []
        assert len(numbered(world, "plan")) == 1
        assert len(numbered(world, "changes")) == day + 1
        assert len(numbered(world, "base")) <= 1

    world.sync("c1")

    assert world.segment.members(TRAIT) == {"user-5"}
    assert world.segment.former(TRAIT) == {"ann", *(f"user-{day}" for day in range(5))}


def test_a_place_that_takes_nothing_away_only_warns(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise StatePathError("/state", "Permission denied")

    for members in (["ann"], ["bob"]):
        world.amplitude.cohort("c1", "Power Users", members)
        world.sync("c1", keep_snapshots=1)
        if "bob" not in members:
            world.store.before_pruning = fail

    assert "could not be pruned" in caplog.text
    assert world.segment.members(TRAIT) == {"bob"}
