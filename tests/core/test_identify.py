"""What is sent for a change, and what never differs or repeats in it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.engine import open_engine
from airflow_provider_amplitude_segment.core.identify import identify_messages, message_id, plan_key
from airflow_provider_amplitude_segment.core.ranges import Ranges

HAZARDS = ["007", "NULL", "a,b", "line\nbreak", " a ", "é", "e\u0301", 'q"q', "\\", "\x01", "\u2028", "😀", "</script>"]
TRAITS = ["Power Users (c1)", 'Quo"ted \\ {x} é (c1)', "日本 (c1)"]


def messages(tmp_path: Path, changes: list[tuple[str, str, bool]], positions: Ranges) -> dict[int, dict[str, Any]]:
    """Return the messages, read, by the position of their change."""
    path = tmp_path / "changes.parquet"
    with open_engine(tmp_path) as engine:
        engine.execute("CREATE TABLE changes (trait VARCHAR, user_id VARCHAR, value BOOLEAN)")
        engine.executemany("INSERT INTO changes VALUES ($1, $2, $3)", changes)
        engine.execute(f"COPY changes TO '{path}' (FORMAT parquet)")
        ready = identify_messages(engine, path, positions, key="k" * 64, timestamp="2026-11-23T13:56:49.152Z")
        return {some.first + n: json.loads(text) for some in ready for n, text in enumerate(some.texts)}


def test_every_message_is_the_json_segment_documents(tmp_path: Path) -> None:
    changes = [(trait, user, value) for trait in TRAITS for user in HAZARDS for value in (True, False)]

    sent = messages(tmp_path, changes, Ranges.of([(0, len(changes) - 1)]))

    assert list(sent) == list(range(len(changes)))
    for (trait, user, value), message in zip(changes, sent.values(), strict=True):
        assert message == {
            "type": "identify",
            "userId": user,
            "traits": {trait: value},
            "timestamp": "2026-11-23T13:56:49.152Z",
            "messageId": message_id("k" * 64, trait, user, value=value),
        }


def test_only_the_asked_positions_are_told_in_their_order(tmp_path: Path) -> None:
    changes = [("t", f"user-{n:05d}", True) for n in range(10_000)]
    asked = Ranges.of([(3, 5), (2040, 2060), (9999, 9999)])

    sent = messages(tmp_path, changes, asked)

    assert list(sent) == [3, 4, 5, *range(2040, 2061), 9999]
    assert all(message["userId"] == f"user-{position:05d}" for position, message in sent.items())


text = st.text(max_size=12)


@settings(max_examples=300)
@given(st.tuples(text, text, st.booleans()), st.tuples(text, text, st.booleans()))
def test_message_ids_differ_where_trait_user_or_value_differ(
    one: tuple[str, str, bool], other: tuple[str, str, bool]
) -> None:
    """Trait and user cannot run into each other."""
    ids = [
        message_id(
            "k" * 64, trait.encode("utf-8", "replace").decode(), user.encode("utf-8", "replace").decode(), value=v
        )
        for trait, user, v in (one, other)
    ]
    normal = [tuple(str(part).encode("utf-8", "replace") for part in change) for change in (one, other)]

    assert (ids[0] == ids[1]) == (normal[0] == normal[1])


def test_message_ids_differ_between_plans_and_destinations_and_are_short_enough() -> None:
    keys = [
        plan_key("1", "c1", "dst-a", "p1"),
        plan_key("1", "c1", "dst-b", "p1"),
        plan_key("1", "c1", "dst-a", "p2"),
        plan_key("1", "c2", "dst-a", "p1"),
        plan_key("2", "c1", "dst-a", "p1"),
    ]

    ids = {message_id(key, "t", "ann", value=True) for key in keys}

    assert len(ids) == len(keys)
    assert all(len(one) < 100 for one in ids)
