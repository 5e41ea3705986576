"""What Segment loses behind a 200: by source, by tracking plan, by user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, SandboxSource

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

TRAIT = "Power users (26umsb5)"


def identify(user_id: str, **traits: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user_id, "traits": traits or {TRAIT: True}}


def test_a_disabled_source_loses_everything_behind_a_200(sandbox: Sandbox, segment: Any) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = False

    assert segment.send(identify("ann"), identify("bob")).status_code == 200
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()
    assert sandbox.segment.lost == {"source_disabled": 2}

    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = True
    segment.send(identify("ann"))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}


def test_a_suppressed_user_is_lost_and_the_neighbours_are_not(sandbox: Sandbox, segment: Any) -> None:
    sandbox.segment.suppressed.add("bob")

    assert segment.send(identify("ann"), identify("bob")).status_code == 200
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}
    assert sandbox.segment.lost == {"suppressed": 1}


def test_a_tracking_plan_takes_out_the_trait_that_it_does_not_have(sandbox: Sandbox, segment: Any) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.tracking_plan_id, source.planned_traits, source.mode = "tp_1", {"email"}, "OMIT_TRAITS"
    segment.send(identify("ann", email="a@example.com", **{TRAIT: True}))

    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {"email": "a@example.com"}
    assert (sandbox.segment.silently_lost, sandbox.segment.traits_omitted) == (0, 1)

    source.mode = "BLOCK"
    segment.send(identify("bob", email="b@example.com", **{TRAIT: True}), identify("cat", email="c@example.com"))
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "bob") == {}
    assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "cat") == {"email": "c@example.com"}
    assert sandbox.segment.lost == {"schema_violation": 1}

    source.mode = "ALLOW"
    segment.send(identify("bob"))
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"bob"}


def test_the_lost_users_are_the_same_each_time(sandbox: Sandbox, segment: Any) -> None:
    users = [f"user-{number}" for number in range(1000)]
    sandbox.segment.loses = 0.05
    sandbox.segment.loses_users.add("user-0")
    segment.send(*map(identify, users))
    first = set(users) - sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)
    segment.send(*map(identify, users), write_key=WRITE_KEY_EMEA)

    assert "user-0" in first
    assert 20 < len(first) < 90
    assert set(users) - sandbox.segment.believes(WRITE_KEY_EMEA, TRAIT) == first
    assert sandbox.segment.lost == {"lost_after_ingest": 2 * len(first)}


def test_the_write_keys_of_one_source_share_its_traits(sandbox: Sandbox, segment: Any) -> None:
    sandbox.segment.add_source(SandboxSource("src1", "rotated", write_keys=["old-write-key", "new-write-key"]))
    segment.send(identify("ann"), write_key="old-write-key")
    segment.send(identify("bob"), write_key="new-write-key")

    assert sandbox.segment.believes("old-write-key", TRAIT) == {"ann", "bob"}
    assert sandbox.segment.write_keys["new-write-key"] == "rotated"


@pytest.mark.parametrize("setting", ["suppressed", "loses", "sources", "profile_delay_seconds"])
def test_reset_restores_the_settings_and_forget_keeps_them(sandbox: Sandbox, setting: str) -> None:
    at_start = getattr(sandbox.segment, setting)
    changed = {"suppressed": {"ann"}, "loses": 0.5, "sources": {}, "profile_delay_seconds": 9}[setting]
    setattr(sandbox.segment, setting, changed)

    sandbox.segment.forget()
    assert getattr(sandbox.segment, setting) == changed
    sandbox.reset()
    assert getattr(sandbox.segment, setting) == at_start
