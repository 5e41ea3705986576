"""The links of a task: where they lead, from when on, and that no sync fails for them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from fakes.task_instance import FakeTaskInstance
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.links.amplitude import AmplitudeCohortLink
from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.links.task_links import push_links
from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = Path(__file__).parents[2] / "example_dags"
COHORT_URL, DEBUGGER_URL = "amplitude_cohort_url", "segment_debugger_url"
NO_LINKS = {COHORT_URL: "", DEBUGGER_URL: ""}
ACME_PYTHON = {"workspace": "acme", "source": "python"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox with two cohorts, exported at once: the examples wait for 10 s between two polls."""
    cohorts = [
        SandboxCohort("26umsb5", "Lifecycle: at risk", ["ann"], ready_after_polls=0),
        SandboxCohort("9apg8e8f", "Lifecycle: trial", ready_after_polls=0),
    ]
    with Sandbox.start(cohorts=cohorts) as sandbox:
        yield sandbox


@pytest.fixture
def extend(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what puts more into Extra of a connection to the sandbox."""
    connections = {
        name.removeprefix("AIRFLOW_CONN_").lower(): json.loads(value)
        for name, value in sandbox.airflow_connections().items()
    }

    def extended(conn_id: str, **extra: str) -> None:
        connection = connections[conn_id]
        connection["extra"] = {**connection.get("extra", {}), **extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    for conn_id in connections:
        extended(conn_id)
    return extended


def pushed(ti: FakeTaskInstance, *segment_conn_ids: str) -> dict[str, Any]:
    """Return what a task of these destinations pushes."""
    push_links(
        ti,
        cohort_id="26umsb5",
        amplitude_conn_id="amplitude_default",
        segment_conn_ids=segment_conn_ids or ("segment_default",),
    )
    return ti.xcoms


def test_the_links_lead_to_the_cohort_and_to_the_debugger(extend: Callable[..., None]) -> None:
    extend("amplitude_default", org_url="my-org")
    extend("segment_default", **ACME_PYTHON)

    assert pushed(FakeTaskInstance()) == {
        COHORT_URL: "https://app.amplitude.com/analytics/my-org/cohort/26umsb5",
        DEBUGGER_URL: "https://app.segment.com/acme/sources/python/debugger",
    }


@pytest.mark.usefixtures("extend")
def test_a_link_is_pushed_empty_where_the_connection_does_not_make_it_known() -> None:
    """Airflow shows no link then, and finds something where it looks."""
    assert pushed(FakeTaskInstance()) == NO_LINKS


@pytest.mark.usefixtures("extend")
@pytest.mark.parametrize("wrong", [{"cohort_id": ["a", "b"]}, {"segment_conn_id": ""}, {"sync_mode": "sideways"}])
def test_links_are_pushed_empty_of_a_task_whose_parameters_are_wrong(wrong: dict[str, Any], tmp_path: Path) -> None:
    ti = FakeTaskInstance()
    operator = AmplitudeCohortToSegmentOperator(
        task_id="sync", **{"cohort_id": "26umsb5", "state_path": str(tmp_path), **wrong}
    )

    with pytest.raises(AirflowFailException):
        operator.execute({"ti": ti, "dag_run": ti, "params": {}})

    assert ti.xcoms == NO_LINKS


def test_of_several_destinations_the_first_that_is_known_is_linked_and_the_log_has_all(
    extend: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    extend("segment_emea", **ACME_PYTHON, region="EU")
    emea = "https://eu1.app.segment.com/acme/sources/python/debugger"

    assert pushed(FakeTaskInstance(), "segment_default", "segment_emea")[DEBUGGER_URL] == emea
    assert "Debugger" not in caplog.text

    extend("segment_default", workspace="acme", source="web")
    web = "https://app.segment.com/acme/sources/web/debugger"
    assert pushed(FakeTaskInstance(), "segment_default", "segment_emea")[DEBUGGER_URL] == web
    assert f"Debugger of segment_default: {web}" in caplog.text
    assert f"Debugger of segment_emea: {emea}" in caplog.text


class BrokenTaskInstance(FakeTaskInstance):
    def xcom_push(self, key: str, value: Any) -> None:
        raise RuntimeError(f"{key} {value} is not taken")


def test_nothing_is_raised_for_a_link(extend: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    """Neither where nothing can be pushed, nor where a connection is not there; what was raised is not quoted."""
    extend("amplitude_default", org_url="my-org")

    assert pushed(BrokenTaskInstance()) == {}
    assert pushed(FakeTaskInstance(), "there_is_none")[DEBUGGER_URL] == ""
    assert "The task has no links: a connection could not be read (RuntimeError)." in caplog.text
    assert "my-org" not in caplog.text


def test_a_deferred_task_has_its_links_before_the_export_is_complete(
    extend: Callable[..., None], sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 1
    extend("amplitude_default", org_url="my-org")
    ti = FakeTaskInstance()
    operator = AmplitudeCohortToSegmentOperator(
        task_id="sync", cohort_id="26umsb5", state_path=str(tmp_path), deferrable=True
    )

    with pytest.raises(TaskDeferred):
        operator.execute({"ti": ti, "dag_run": ti, "params": {}})

    assert ti.xcoms == {**NO_LINKS, COHORT_URL: "https://app.amplitude.com/analytics/my-org/cohort/26umsb5"}


def run_example(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH", str(tmp_path / "state"))
    run = parse_dag(EXAMPLES / f"amplitude_segment_{name}.py").test()
    assert run.state == "success"
    return run


@pytest.mark.usefixtures("forgetful_airflow")
def test_after_a_run_airflow_shows_what_was_pushed(
    extend: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Airflow 3 has written the links once more by then, with what ``get_link`` says."""
    extend("amplitude_default", org_url="my-org")

    ti = run_example("daily", monkeypatch, tmp_path).get_task_instance("sync_cohort")

    page = "https://app.amplitude.com/analytics/my-org/cohort/26umsb5"
    assert ti.xcom_pull(task_ids="sync_cohort", key=COHORT_URL) == page
    assert not ti.xcom_pull(task_ids="sync_cohort", key=DEBUGGER_URL)


@pytest.mark.usefixtures("forgetful_airflow")
def test_a_mapped_task_has_links_of_its_own(
    extend: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extend("amplitude_default", org_url="my-org")

    run = run_example("many_cohorts", monkeypatch, tmp_path)

    mapped = [ti for ti in run.get_task_instances() if ti.task_id == "sync_cohort"]
    pages = {
        ti.map_index: ti.xcom_pull(task_ids="sync_cohort", key=COHORT_URL, map_indexes=ti.map_index) for ti in mapped
    }
    assert pages == {
        0: "https://app.amplitude.com/analytics/my-org/cohort/26umsb5",
        1: "https://app.amplitude.com/analytics/my-org/cohort/9apg8e8f",
    }


def test_the_operator_has_both_links() -> None:
    operator = AmplitudeCohortToSegmentOperator(task_id="sync", cohort_id="c1")

    assert [type(link) for link in operator.operator_extra_links] == [AmplitudeCohortLink, SegmentDebuggerLink]
    assert [link.name for link in operator.operator_extra_links] == ["Cohort in Amplitude", "Debugger in Segment"]


def test_a_retirement_has_the_debuggers_link_also_when_it_fails_and_asks_for_no_amplitude(
    extend: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extend("segment_default", workspace="acme", source="website")
    monkeypatch.delenv("AIRFLOW_CONN_AMPLITUDE_DEFAULT")
    ti = FakeTaskInstance()
    operator = AmplitudeCohortTraitRetireOperator(task_id="retire", cohort_id="26umsb5", state_path=str(tmp_path))

    with pytest.raises(AirflowFailException):
        operator.execute({"ti": ti, "dag_run": ti, "params": {}})

    assert ti.xcoms[DEBUGGER_URL] == "https://app.segment.com/acme/sources/website/debugger"
    assert [type(link) for link in operator.operator_extra_links] == [SegmentDebuggerLink]
