"""Parameters as Airflow hands them over when they are outputs of tasks, and values of ours that a task returns."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient
from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.clients.segment_api import SegmentApiClient
from airflow_provider_amplitude_segment.core.delivery import access_token, response
from airflow_provider_amplitude_segment.core.export import cohort, download, responses
from airflow_provider_amplitude_segment.core.ledger import stream
from airflow_provider_amplitude_segment.core.segment_api import identify_counts, profile, source_check, workspace
from airflow_provider_amplitude_segment.exceptions import XComValueError
from airflow_provider_amplitude_segment.hooks import segment as segment_hook
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.hooks.segment_api import SegmentApiHook
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Sandbox, SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fakes.task_instance import Sync

DAGS = Path(__file__).parent / "dags" / "values_from_tasks.py"
POWER, NUMBERED = "Power Users (c1)", "Numbered (1234567)"
KEYS = (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA)
CLIENTS = (AmplitudeClient, SegmentClient, SegmentApiClient, ProfileApiClient)
SEGMENTS = (access_token, identify_counts, profile, source_check, workspace)


@pytest.fixture
def keeping_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """Run a sandbox with two cohorts, which keeps what it is sent."""
    properties = {"cat": {"plan": "free", "town": "Ulm"}}
    cohorts = [
        SandboxCohort("c1", "Power Users", ["ann", "bob"]),
        SandboxCohort("1234567", "Numbered", ["cat"], properties=properties),
        # Its label is a number by itself.
        SandboxCohort("7654321", "", ["dan"]),
    ]
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH", str(tmp_path / "state"))
    with Sandbox.start(cohorts=cohorts, keep_messages=True) as sandbox:
        sandbox.amplitude.parallel_per_minute = sandbox.amplitude.requests_per_ten_minutes = None
        for name, value in sandbox.airflow_connections().items():
            monkeypatch.setenv(name, value)
        yield sandbox


def states_of(dag_id: str) -> dict[str, set[str]]:
    """Run a DAG of the file; return the states that its tasks ended in."""
    states: dict[str, set[str]] = {}
    for instance in parse_dag(DAGS, dag_id).test().get_task_instances():
        states.setdefault(instance.task_id, set()).add(str(instance.state).rpartition(".")[2].lower())
    return states


@pytest.mark.usefixtures("forgetful_airflow")
@pytest.mark.parametrize("dag_id", ["values_from_tasks", "values_as_objects"])
def test_outputs_of_tasks_are_read_whatever_they_come_as(dag_id: str, keeping_sandbox: Sandbox) -> None:
    """Of a mapped task a sequence that is read when it is asked; of a template an iterator that can be read once."""
    dag = parse_dag(DAGS, dag_id)

    states = states_of(dag_id)

    assert set(states) == set(dag.task_ids)
    assert set.union(*states.values()) == {"success"}
    segment = keeping_sandbox.segment
    for key in KEYS:
        assert segment.believes(key, NUMBERED) == {"cat"}
        assert segment.traits(key, "cat")["town"] == "Ulm"
        assert segment.believes(key, "blank") == {"dan"}
        # The retirement was last, by the same connections; without it the mapped task's members stay.
        assert segment.disbelieves(key, POWER) >= {"ann", "bob"}
    contexts = [kept.message["context"] for kept in segment.messages_by_id.values() if kept.message["userId"] == "cat"]
    assert ["plan", "town"] in [context.get("towns") for context in contexts]


@pytest.mark.usefixtures("forgetful_airflow")
def test_what_a_task_returns_and_no_task_could_read_fails_the_task_that_returns_it(
    keeping_sandbox: Sandbox,  # noqa: ARG001 - it sets the connections
    capfd: pytest.CaptureFixture[str],
) -> None:
    states = states_of("values_that_cannot_be_read")

    assert states == {name: {"failed"} for name in ("cohorts", "destination", "report", "usage", "export")}
    printed = "".join(capfd.readouterr())
    assert "Return AmplitudeHook().map_cohorts(), which expand_kwargs of an operator takes" in printed
    assert "Return plain values, such as dataclasses.asdict(value)" in printed
    assert "Return report.as_dict()" in printed
    for kind in ("Destination", "Usage", "ExportRequested"):
        assert f"A value of the class {kind} cannot pass from one task to another" in printed
    assert "allow list" not in printed


def values_of(owner: type) -> Iterator[type]:
    """Give every dataclass that a public method returns, alone, in a collection or as one of several."""
    methods = [method for name, method in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")]
    for method in methods:
        names: dict[str, object] = {client.__name__: client for client in (*CLIENTS, Path)}
        for module in (typing, collections.abc, cohort, responses, download, response, stream, segment_hook, *SEGMENTS):
            names |= vars(module)
        remaining = [typing.get_type_hints(method, localns=names)["return"]]
        while remaining:
            kind = remaining.pop()
            remaining += typing.get_args(kind)
            if dataclasses.is_dataclass(kind) and isinstance(kind, type):
                yield kind


def test_nothing_that_a_hook_or_a_client_returns_crosses_an_xcom() -> None:
    owners = (AmplitudeHook, SegmentHook, SegmentApiHook, *CLIENTS)
    kinds = {kind for owner in owners for kind in values_of(owner)}
    assert {"Cohort", "Usage", "RetryLater", "Download", "Acknowledged", "ListedSource", "TraitFound"} <= {
        kind.__name__ for kind in kinds
    }
    for kind in kinds:
        with pytest.raises(XComValueError, match=f"class {kind.__name__} cannot"):
            object.__new__(kind).serialize()


@pytest.mark.parametrize("hook", [AmplitudeHook, SegmentHook])
def test_no_client_is_pickled_with_its_keys(hook: type[AmplitudeHook | SegmentHook], sandbox: Sandbox) -> None:  # noqa: ARG001
    """As Airflow 2.11 does with what a task returns, where it is set to."""
    used = hook()
    client = used.get_conn()

    for value in (client, used):
        with pytest.raises(XComValueError, match="take a client from the hook in each task"):
            pickle.dumps(value)


def test_what_cannot_be_returned_from_a_task_says_so_for_good(sandbox: Sandbox) -> None:  # noqa: ARG001
    with pytest.raises(XComValueError, match="A retry does not help") as refused:
        SegmentHook().describe().serialize()

    assert (refused.value.kind, refused.value.retryable) == ("Destination", False)


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"cohort_id": ["c1", "c2"]}, r"cohort_id: got \['c1', 'c2'\] \(list\).*expand\(cohort_id=…\)"),
        ({"cohort_id": (name for name in ["c1"])}, r"cohort_id: got \['c1'\] \(list\)"),
        ({"segment_conn_id": "LazySelectSequence([2 items])"}, "segment_conn_id: got the text 'LazySelectSequence"),
        ({"user_properties": "<generator object sync_do_map at 0x7f2b>"}, r"user_properties=task.output\), or a tem"),
        ({"integrations": "dict_items([('All', True)])"}, "integrations: got the text"),
        ({"segment_conn_id": [["segment_default"], 7]}, "segment_conn_id: got"),
        ({"deferrable": "{{ params.deferrable }}"}, "deferrable: got '{{ params.deferrable }}'.*True or False"),
    ],
)
def test_a_value_that_is_not_plain_and_cannot_be_made_so_is_named(
    parameters: dict[str, Any], problem: str, sandbox: Sandbox, sync: Sync
) -> None:
    with pytest.raises(AirflowFailException, match=problem):
        sync(**parameters)

    assert sandbox.amplitude.exports_spent == 0


class Lazy(Sequence[str]):
    """As a mapped task's output on Airflow 3, where an iteration asks for an item past its end, which is logged."""

    def __init__(self, *items: str) -> None:
        self._read = items

    def __len__(self) -> int:
        return len(self._read)

    def __getitem__(self, number: Any) -> Any:
        return self._read[number]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("iterated over")


@pytest.mark.parametrize(
    "several",
    [
        lambda: Lazy("segment_default", "segment_emea"),
        lambda: {"segment_emea", "segment_default"},
        lambda: iter(["segment_default", "segment_emea"]),
        {"segment_default": 1, "segment_emea": 2}.keys,
        lambda: [("segment_default",), Lazy("segment_emea")],
    ],
)
def test_every_kind_of_collection_names_the_connections(
    several: Callable[[], object], sandbox: Sandbox, sync: Sync
) -> None:
    sync(segment_conn_id=several(), integrations=MappingProxyType({"All": True}), deferrable="False")

    assert [sandbox.segment.believes(key, POWER) for key in KEYS] == [{"ann", "bob"}] * 2
