"""What a sync without events sends and writes: to the byte what versions without events did.

The digests were made by the last commit before events, from this file's scenario. A change of the ledger's format or of
the messages changes them too.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from fakes import World

from airflow_provider_amplitude_segment.exceptions import RejectedUsersError

REPORTED_SINCE = {
    *("events_planned", "events_acknowledged", "events_rejected"),
    # Which run wrote an entry, who approved it, and where its members are from.
    *("run_label", "approved_by", "export_source", "exported_epoch", "nothing_new"),
}
# By the kind of an object, what only it has had since.
KINDS_SINCE = {
    "reports/": {"run", "try", "written_at", "ended_by", "guard", "question", "answered_by"},
    "commit-": {"fingerprint"},
}
BODIES = "6d815a548dba4880"
OBJECTS = "3b3b31e53ea30921"


@pytest.fixture
def played(world: World) -> World:
    """A first sync, moves with a rejected user, a rename and a full sync, at two destinations."""
    keys = ("default", "second")
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob", "cat"])
    world.sync("c1", keys=keys)
    world.amplitude.cohort("c1", "Power Users", ["bob", "dan", "line\nbreak"])
    world.segment.poisoned = {"dan"}
    with pytest.raises(RejectedUsersError):
        world.attempt("c1", keys=keys)
    world.segment.poisoned = set()
    world.amplitude.cohort("c1", "Big Spenders", ["bob", "dan", "caf\u00e9"])
    world.sync("c1", keys=keys, keep_snapshots=10)
    world.sync("c1", keys=keys, sync_mode="full", keep_snapshots=10)
    return world


def digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def shown(name: str, content: bytes, tmp_path: Path) -> object:
    """An object without what depends on the version of DuckDB: of Parquet, columns and rows.

    A state has no order: DuckDB joins it with several threads.
    """
    if name.endswith(".parquet"):
        path = tmp_path / "object.parquet"
        path.write_bytes(content)
        found = duckdb.sql(f"FROM read_parquet('{path}')")
        rows = [list(row) for row in found.fetchall()]
        ordered = rows if "/changes-" in name else sorted(rows, key=repr)
        return [found.columns, [str(kind) for kind in found.types], ordered]
    if not name.endswith(".json"):
        return content.decode()
    since = set[str]().union(*(keys for kind, keys in KINDS_SINCE.items() if f"/{kind}" in name))
    return without_sizes({key: value for key, value in json.loads(content).items() if key not in since})


def without_sizes(value: Any) -> Any:
    if isinstance(value, dict):
        left = {key: without_sizes(item) for key, item in value.items() if key not in REPORTED_SINCE}
        return {"name": left["name"]} if "sha256" in left else left
    return [without_sizes(item) for item in value] if isinstance(value, list) else value


def test_the_request_bodies_are_those_of_before(played: World) -> None:
    # Two destinations send at once.
    assert digest(sorted(json.dumps(body) for body in played.segment.bodies)) == BODIES


def test_the_ledgers_objects_are_those_of_before_but_for_three_counts_in_the_report(
    played: World, tmp_path: Path
) -> None:
    assert digest({name: shown(name, played.store.objects[name], tmp_path) for name in played.store.objects}) == OBJECTS
