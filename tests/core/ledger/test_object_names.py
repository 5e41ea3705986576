"""Every name in a ledger is built and parsed by one grammar."""

from typing import get_args

import pytest
from fakes import World
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.delivery.response import no_response
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.object_names import (
    Kind,
    ObjectName,
    destination_folder,
    folder_name,
    is_destination_folder,
    is_folder,
    parse_object,
    parse_unfinished,
)
from airflow_provider_amplitude_segment.exceptions import SegmentUnavailableError

_numbers = st.integers(1, 10**18 - 1)


@given(st.sampled_from(get_args(Kind)), _numbers, _numbers)
def test_a_name_that_is_built_is_parsed_also_while_its_object_is_unfinished(
    kind: Kind, generation: int, claim: int
) -> None:
    name = ObjectName(kind, generation, claim if kind in {"acked", "snapshot"} else None)

    assert parse_object(str(name)) == parse_unfinished(f".{name}.0123456789abcdef") == name
    assert name.owner == (claim if kind in {"acked", "snapshot"} else generation)


SIMILAR = (
    *("plan-01.json", "plan-1.json\n", "plan-\u0661.json", "Plan-1.json", "plan-1", "plan--1.json", "../plan-1.json"),
    *("acked-1.json", "claim-1-1.json", "snapshot-1-1.json", "plan-1.parquet", "x-1.json", ""),
    f"plan-1{'0' * 5000}.json",
)


@pytest.mark.parametrize("name", SIMILAR)
def test_a_name_that_is_only_similar_is_none_of_ours(name: str) -> None:
    assert parse_object(name) is None
    assert parse_unfinished(f".{name}.0a") is None


@given(st.text())
def test_a_folder_that_is_built_is_known_again(text: str) -> None:
    assert is_folder(folder_name(text))
    assert is_destination_folder(destination_folder(text))
    assert not is_folder(f".{folder_name(text)}")


def test_no_name_that_this_package_writes_is_taken_for_another_programs(world: World) -> None:
    world.amplitude.cohort("c1", "Power Users", ["ann", "bob"])
    world.segment.poisoned.add("bob")
    world.sync("c1", on_rejected="warn")
    world.sync("c1", dry_run=True)
    world.amplitude.cohort("c1", "Power Users", ["ann", "cat"])
    world.segment.script = [no_response("ConnectionError")] * 20
    with pytest.raises(SegmentUnavailableError):
        world.attempt("c1")
    world.segment.script = []
    world.sync("c1", on_rejected="warn")

    folder = "1234/c1/dst-default"
    assert {"rejected", "dry-runs", "reports", "current.json", "claim-4.json"} <= set(world.store.names(folder))
    assert Ledger(world.store, folder).foreign() == []
