"""Asset events: what an outlet that the DAG's author declares says of a sync. Airflow's own accessors take it."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, Asset, AssetAlias
from fakes.task_instance import FakeTaskInstance, Sync
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.sandbox import Sandbox, SandboxCohort

COHORT = Asset("x-team://cohorts/power-users")
AIRFLOW_3 = Asset.__name__ == "Asset"


@pytest.fixture
def events(ti: FakeTaskInstance) -> Any:
    """Airflow's ``outlet_events``, in the context of the task instance."""
    module = "airflow.sdk.execution_time.context" if AIRFLOW_3 else "airflow.utils.context"
    ti.context["outlet_events"] = importlib.import_module(module).OutletEventAccessors()
    return ti.context["outlet_events"]


def test_a_declared_outlet_gets_the_counts_as_flat_json(sync: Sync, events: Any) -> None:
    report = sync(outlets=[COHORT])

    extra = events[COHORT].extra
    assert (extra["cohort_id"], extra["cohort_name"]) == ("c1", "Power Users")
    assert (extra["members"], extra["anonymous"], extra["dry_run"]) == (2, 1, False)
    assert (extra["entered"], extra["exited"], extra["acknowledged"], extra["rejected"]) == (2, 0, 2, 0)
    assert extra["export_request_id"] == report["export_request_id"]
    assert extra["segment_default.known"] == 2
    assert extra["segment_default.trait"] == "Power Users (c1)"
    assert {type(value) for value in json.loads(json.dumps(extra)).values()} <= {str, int, bool}
    assert "bob" not in json.dumps(extra)


def test_counts_are_summed_over_destinations_and_told_for_each(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance, events: Any
) -> None:
    sync(outlets=[COHORT])
    sandbox.amplitude.cohorts["c1"].user_ids = ["bob", "cat"]
    ti = ti.next_run("second")

    sync(ti, outlets=[COHORT], segment_conn_id=["segment_default", "segment_emea"])

    extra = events[COHORT].extra
    assert (extra["entered"], extra["exited"]) == (3, 1)
    assert (extra["segment_default.entered"], extra["segment_emea.entered"]) == (1, 2)
    assert extra["segment_conn_ids"] == "segment_default,segment_emea"


def test_what_the_author_put_into_the_event_stays(sync: Sync, events: Any) -> None:
    events[COHORT].extra = {"team": "growth"}

    sync(outlets=[COHORT])

    assert events[COHORT].extra["team"] == "growth"
    assert events[COHORT].extra["entered"] == 2


def test_no_outlet_is_added_by_itself(sync: Sync, events: Any) -> None:
    sync()

    assert len(events) == 0


def test_a_skipped_sync_says_nothing(sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance, events: Any) -> None:
    sync()
    sandbox.amplitude.cohorts["c1"].user_ids = []

    with pytest.raises(AirflowSkipException):
        sync(ti.next_run("second"), on_empty_cohort="skip", outlets=[COHORT])
    assert len(events) == 0


def test_an_outlet_that_is_no_asset_is_let_be(sync: Sync, events: Any) -> None:
    sync(outlets=[object(), COHORT])

    assert len(events) == 1


def test_a_dry_run_says_that_it_is_one(sync: Sync, events: Any) -> None:
    """Airflow sends the event of a declared outlet whenever a task succeeds."""
    sync(outlets=[COHORT], dry_run=True)

    assert events[COHORT].extra["dry_run"] is True
    assert events[COHORT].extra["acknowledged"] == 0


def test_an_alias_gets_an_asset_for_each_destination_where_airflow_has_assets(sync: Sync, events: Any) -> None:
    alias = AssetAlias("cohorts-in-segment")

    sync(outlets=[alias], segment_conn_id=["segment_default", "segment_emea"])

    if AIRFLOW_3:
        added = {event.dest_asset_key.uri: event.extra for event in events[alias].asset_alias_events}
        address = "x-amplitude-segment://amplitude_default/c1"
        assert set(added) == {f"{address}/segment_default", f"{address}/segment_emea"}
        assert added[f"{address}/segment_emea"]["segment_conn_ids"] == "segment_emea"
        assert added[f"{address}/segment_emea"]["entered"] == 2
    else:
        assert events[alias].dataset_alias_events == []


def test_an_alias_gets_no_asset_of_a_destination_where_nobody_moved_if_the_author_wants_none(
    sync: Sync, ti: FakeTaskInstance, events: Any
) -> None:
    alias = AssetAlias("cohorts-in-segment")
    sync(skip_when_unchanged=True)

    sync(ti.next_run("second"), outlets=[alias], segment_conn_id="segment_default, segment_emea", skip_when_unchanged=1)

    if AIRFLOW_3:
        (added,) = events[alias].asset_alias_events
        assert added.dest_asset_key.uri == "x-amplitude-segment://amplitude_default/c1/segment_emea"
    else:
        assert events[alias].dataset_alias_events == []


def test_a_dry_run_adds_no_asset_to_an_alias(sync: Sync, events: Any) -> None:
    alias = AssetAlias("cohorts-in-segment")

    sync(outlets=[alias], dry_run=True)

    assert len(events) == 0


def test_an_outlet_that_cannot_be_filled_fails_no_sync(
    sync: Sync, ti: FakeTaskInstance, caplog: pytest.LogCaptureFixture
) -> None:
    ti.context["outlet_events"] = {}

    report = sync(outlets=[COHORT])

    assert report["destinations"][0]["committed"]
    assert "The assets' events could not be published: KeyError" in caplog.text


_MAPPED = """
import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

outlets = [Asset("x-team://cohorts/mapped")]
if Asset.__name__ == "Asset":
    outlets.append(AssetAlias("mapped-cohorts-in-segment"))
with DAG("mapped_with_outlets", schedule=None, start_date=pendulum.datetime(2024, 1, 1, tz="UTC")):
    AmplitudeCohortToSegmentOperator.partial(
        task_id="sync", outlets=outlets, poll_interval=0.05, max_active_tis_per_dag=1
    ).expand(cohort_id=["c1", "c2"])
"""


@pytest.mark.usefixtures("forgetful_airflow")
def test_each_mapped_task_sends_events_of_its_own(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Airflow's own database has them afterwards."""
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH", str(tmp_path / "state"))
    sandbox.amplitude.cohorts["c2"] = SandboxCohort("c2", "Trial", ["cat"])
    file = tmp_path / "mapped_with_outlets.py"
    file.write_text(_MAPPED)
    dag = parse_dag(file)
    if not AIRFLOW_3:
        dag.sync_to_db()

    assert dag.test().state == "success"

    sent = _sent_events()
    assert sent["x-team://cohorts/mapped"] == {"c1": 2, "c2": 1}
    if AIRFLOW_3:
        address = "x-amplitude-segment://amplitude_default"
        assert sent[f"{address}/c1/segment_default"] == {"c1": 2}
        assert sent[f"{address}/c2/segment_default"] == {"c2": 1}


def _sent_events() -> dict[str, dict[str, int]]:
    """Return who entered by the asset's address and cohort."""
    models = importlib.import_module("airflow.models.asset" if AIRFLOW_3 else "airflow.models.dataset")
    event = models.AssetEvent if AIRFLOW_3 else models.DatasetEvent
    sent: dict[str, dict[str, int]] = {}
    with importlib.import_module("airflow.utils.session").create_session() as session:
        for row in session.query(event):
            sent.setdefault(row.uri, {})[row.extra["cohort_id"]] = row.extra["entered"]
    return sent
