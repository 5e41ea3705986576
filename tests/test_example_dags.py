"""The example DAGs, parsed and run for real against the sandbox: what Segment believes afterwards."""

from __future__ import annotations

import importlib
import json
import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Asset, ParamValidationError
from fakes.cohort_folder import csv_of
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.exceptions import (
    ChangedKeyError,
    EmptyCohortError,
    ExitRatioError,
    MissingStateError,
)
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Sandbox,
    sample_cohorts,
)
from airflow_provider_amplitude_segment.sandbox.cohorts import APP_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import DAG

EXAMPLES = Path(__file__).parents[1] / "example_dags"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py"))
AIRFLOW_3 = Asset.__name__ == "Asset"
AT_RISK, TRIAL, ACTIVE = "26umsb5", "9apg8e8f", "7khm89cz"


pytestmark = pytest.mark.usefixtures("forgetful_airflow")


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away whatever connections the environment has."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """The sandbox's own cohorts, small and exported at once, and Airflow's way there."""
    cohorts = sample_cohorts(2000)
    for cohort in cohorts:
        cohort.ready_after_polls = 0
        cohort.user_ids = cohort.user_ids[:400]
    monkeypatch.setenv("AIRFLOW__AMPLITUDE_SEGMENT__STATE_PATH", str(tmp_path / "state"))
    with Sandbox.start(cohorts=cohorts) as sandbox:
        for name, connection in sandbox.airflow_connections().items():
            monkeypatch.setenv(name, connection)
        yield sandbox


def parse(name: str) -> DAG:
    """Read an example from Airflow's DAGs folder, where ``dag.test()`` looks for it again."""
    return parse_dag(EXAMPLES / f"{name}.py")


def run_example(name: str, run_conf: dict[str, Any] | None = None) -> Any:
    """Run an example, read anew: Airflow 2.11 leaves a run's Params in a DAG that it has tested."""
    return parse(f"amplitude_segment_{name}").test(run_conf=run_conf)


def run_waiting_example(name: str, *, deferrable: bool) -> Any:
    """Run an example whose export takes its time, deferred or not."""
    dag = parse(f"amplitude_segment_{name}")
    task = dag.get_task("sync_cohort")
    task.deferrable = deferrable
    # The trigger asks as soon as it starts; a task that waited by itself would sleep for an hour before.
    task.poll_interval = 3599 if deferrable else 0.05
    return dag.test()


def report_of(run: Any, *, task_id: str = "sync_cohort") -> dict[str, Any]:
    """Return the report of the run's sync."""
    ti = run.get_task_instance(task_id)
    report = ti.xcom_pull(task_ids=task_id, key="sync_report")
    assert isinstance(report, dict)
    return report


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_read_without_any_connection(name: str) -> None:
    dag = parse(name)

    assert dag.dag_id == name
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    assert dag.tags
    assert "To change:" in (dag.doc_md or "")


def test_the_schedules_are_those_that_the_examples_are_named_after() -> None:
    dags = {name.removeprefix("amplitude_segment_"): parse(name) for name in NAMES}

    # Airflow 2.11 keeps it under the name that the parameter had before.
    kept_as = "schedule" if hasattr(dags["daily"], "schedule") else "schedule_interval"
    schedules = {name: getattr(dag, kept_as) for name, dag in dags.items()}
    # tests/triggers and tests/cluster/test_watchers.py show what starts these two.
    started_by_events = {name: schedules.pop(name) for name in ("on_recompute", "files_on_arrival")}
    assert (started_by_events["on_recompute"] is not None) == AIRFLOW_3
    assert schedules == {
        "ad_hoc": None,
        "daily": "@daily",
        "files": "30 * * * *",
        "many_cohorts": "@daily",
        "on_change": "@daily",
        "once": "@once",
        "retire": None,
        "several_destinations": "@daily",
        "verified": "@daily",
    }


@pytest.mark.parametrize("name", ["daily", "ad_hoc", "many_cohorts", "on_recompute", "several_destinations"])
def test_a_guard_names_a_run_configuration_that_the_example_takes(name: str) -> None:
    params = parse(f"amplitude_segment_{name}").params
    guards = [
        ExitRatioError("segment_default", 600, 1000, 0.5, {}),
        EmptyCohortError("segment_default", 1000, 0, {}),
        MissingStateError("segment_default", "/state", 0, 3, {}),
        ChangedKeyError("segment_default", "new", "old", {}),
    ]

    for guard in guards:
        for key, value in guard.run_configuration.items():
            assert params.get_param(key).schema["section"] == "Advanced"
            params[key] = value  # raises where the schema does not take it
    params.validate()


def test_the_examples_that_ask_post_the_question_as_the_how_to_shows_it() -> None:
    how_to = (EXAMPLES.parent / "docs" / "how-to" / "ask-a-person.md").read_text()
    shown = how_to[how_to.index("# An HTTP connection") : how_to.index("\n\n\nAmplitudeCohortToSegmentOperator(")]

    for name in ("daily", "ad_hoc"):
        assert shown in (EXAMPLES / f"amplitude_segment_{name}.py").read_text()
        assert parse(f"amplitude_segment_{name}").get_task("sync_cohort").notifiers.__name__ == "post_to_channel"


@pytest.mark.parametrize(
    ("name", "synced"),
    [
        ("daily", [(AT_RISK, WRITE_KEY_DEFAULT)]),
        ("on_change", [(AT_RISK, WRITE_KEY_DEFAULT)]),
        ("on_recompute", [(AT_RISK, WRITE_KEY_DEFAULT), (ACTIVE, WRITE_KEY_DEFAULT)]),
        ("once", [(TRIAL, WRITE_KEY_DEFAULT)]),
        ("ad_hoc", [(AT_RISK, WRITE_KEY_DEFAULT)]),
        (
            "many_cohorts",
            [(AT_RISK, WRITE_KEY_DEFAULT), (TRIAL, WRITE_KEY_DEFAULT), (ACTIVE, WRITE_KEY_DEFAULT)],
        ),
        (
            "several_destinations",
            [(AT_RISK, WRITE_KEY_DEFAULT), (AT_RISK, WRITE_KEY_EMEA)],
        ),
    ],
)
def test_after_an_example_segment_believes_the_cohort_and_nothing_else(
    name: str, synced: list[tuple[str, str]], sandbox: Sandbox
) -> None:
    run = run_example(name)

    assert run.state == "success"
    for cohort_id, write_key in synced:
        comparison = sandbox.compare(cohort_id, write_key=write_key)
        assert comparison.members > 0
        assert comparison.equal, comparison
    traits = sum(len(sandbox.segment.trait_counts(key)) for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA))
    assert traits == len(synced)


def test_several_destinations_are_told_from_one_export(sandbox: Sandbox) -> None:
    run = run_example("several_destinations")

    assert sandbox.amplitude.exports_spent == 1
    members = sandbox.compare(AT_RISK).members
    assert [(d["segment_conn_id"], d["acknowledged"]) for d in report_of(run)["destinations"]] == [
        ("segment_default", members),
        ("segment_emea", members),
    ]


def test_the_files_example_spends_no_export_and_is_skipped_without_a_new_set(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = sandbox.amplitude.cohorts[AT_RISK]
    users = [*cohort.user_ids, *[""] * cohort.anonymous]
    rows = {"existing": [(str(number), user) for number, user in enumerate(users)]}
    for kind in ("existing", "entering", "exiting"):
        file = tmp_path / f"{APP_ID}_{AT_RISK}_2026-11-23T05:00_{kind}.csv"
        file.write_bytes(csv_of(rows.get(kind, [])))
        long_ago = file.stat().st_mtime - 120
        os.utime(file, (long_ago, long_ago))
    monkeypatch.setenv("AIRFLOW_VAR_AMPLITUDE_COHORT_FILES", str(tmp_path))

    assert run_example("files").state == "success"
    assert sandbox.compare(AT_RISK).equal
    assert sandbox.amplitude.exports_spent == 0

    again = run_example("files")

    assert again.get_task_instance("sync_cohort").state == "skipped"
    assert report_of(again)["nothing_new"]


def labels_of(run: Any) -> set[str]:
    return {ti.rendered_map_index for ti in run.get_task_instances() if ti.task_id == "sync_cohort"}


def test_each_mapped_task_is_called_by_its_cohorts_name(sandbox: Sandbox) -> None:
    """Whatever the name holds: it is text, and no template."""
    sandbox.amplitude.cohorts[TRIAL].name = 'Lifecycle: {{ 6 * 7 }} days, "très" long ' + "x" * 300

    run = run_example("many_cohorts")

    assert run.state == "success"
    cut = sandbox.amplitude.cohorts[TRIAL].name[:200]
    assert labels_of(run) == {
        "Lifecycle: at risk of leaving (26umsb5)",
        "Lifecycle: active this month (7khm89cz)",
        f"{cut}… (9apg8e8f)",
    }
    assert sandbox.compare(TRIAL).equal


def test_a_mapped_task_that_fails_is_called_by_its_cohorts_name_too(sandbox: Sandbox) -> None:
    run_example("many_cohorts", {"cohort_name": "*leaving"})
    sandbox.amplitude.cohorts[AT_RISK].user_ids = []

    run = run_example("many_cohorts", {"cohort_name": "*leaving"})

    assert run.state == "failed"
    assert labels_of(run) == {"Lifecycle: at risk of leaving (26umsb5)"}


def test_cohorts_are_chosen_by_their_owner(sandbox: Sandbox) -> None:
    sandbox.amplitude.cohorts[AT_RISK].owners = ["Eve@growth.example.com", "amp"]

    run = run_example("many_cohorts", {"cohort_owner": "*@growth.example.com"})

    assert labels_of(run) == {"Lifecycle: at risk of leaving (26umsb5)"}
    assert sandbox.compare(AT_RISK).equal


def test_the_second_run_sends_only_who_moved(sandbox: Sandbox) -> None:
    run_example("daily")
    received = sandbox.segment.identifies_received
    sandbox.amplitude.churn(AT_RISK, enter=7, exit=5)

    run = run_example("daily")

    assert run.state == "success"
    assert sandbox.segment.identifies_received - received == 12
    assert sandbox.compare(AT_RISK).equal
    (part,) = report_of(run)["destinations"]
    assert (part["entered"], part["exited"], part["planned"], part["acknowledged"]) == (7, 5, 12, 12)


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
def test_an_export_that_takes_its_time_is_waited_for(deferrable: bool, sandbox: Sandbox) -> None:
    sandbox.amplitude.cohorts[AT_RISK].ready_after_polls = 1 if deferrable else 3

    run = run_waiting_example("daily", deferrable=deferrable)

    assert run.state == "success"
    assert sandbox.compare(AT_RISK).equal
    assert sandbox.amplitude.exports_spent == 1


def test_a_tripped_guard_sends_nothing_and_its_run_configuration_lets_it_through(sandbox: Sandbox) -> None:
    run_example("daily")
    received = sandbox.segment.identifies_received
    sandbox.amplitude.churn(AT_RISK, exit=150)

    refused = run_example("daily")

    assert refused.state == "failed"
    assert sandbox.segment.identifies_received == received
    (part,) = report_of(refused)["destinations"]
    run_configuration, _ = json.JSONDecoder().raw_decode(part["error"].rpartition(" configuration ")[2])
    assert run_configuration == {"max_exit_ratio": None}

    let_through = run_example("daily", run_configuration)

    assert let_through.state == "success"
    assert sandbox.segment.identifies_received - received == 150
    assert sandbox.compare(AT_RISK).equal


def test_a_cohort_that_is_suddenly_empty_is_let_through_by_the_ad_hoc_form(sandbox: Sandbox) -> None:
    run_example("ad_hoc")
    sandbox.amplitude.cohorts[AT_RISK].user_ids = []

    assert run_example("ad_hoc").state == "failed"
    assert sandbox.compare(AT_RISK).surplus == 248
    assert run_example("ad_hoc", {"on_empty_cohort": "skip"}).state == "success"
    assert sandbox.compare(AT_RISK).surplus == 248
    assert run_example("ad_hoc", {"on_empty_cohort": "sync"}).state == "success"
    assert sandbox.compare(AT_RISK).equal


def test_the_ad_hoc_form_chooses_cohort_destinations_and_mode(sandbox: Sandbox) -> None:
    form = {"cohort_id": TRIAL, "segment_conn_ids": ["segment_default", "segment_emea"], "sync_mode": "full"}

    run = run_example("ad_hoc", form)

    assert [d["mode"] for d in report_of(run)["destinations"]] == ["full", "full"]
    assert sandbox.compare(TRIAL, write_key=WRITE_KEY_DEFAULT).equal
    assert sandbox.compare(TRIAL, write_key=WRITE_KEY_EMEA).equal
    assert sandbox.compare(AT_RISK).believed == 0


@pytest.mark.parametrize(
    "pasted",
    [
        f"https://app.amplitude.com/analytics/my-org/cohort/{TRIAL}",
        f" https://analytics.amplitude.com/my-org/cohort/{TRIAL}/?source=copy+url#top ",
        f" {TRIAL} ",
    ],
)
def test_the_ad_hoc_form_takes_a_cohorts_address(pasted: str, sandbox: Sandbox) -> None:
    run = run_example("ad_hoc", {"cohort_id": pasted})

    assert report_of(run)["cohort_id"] == TRIAL
    assert sandbox.compare(TRIAL).equal


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("cohort_id", ""),
        ("cohort_id", "Lifecycle: trial ends"),
        ("cohort_id", "https://app.amplitude.com/analytics/my-org/chart/9apg8e8f"),
        ("cohort_id", "9apg8e8f, 26umsb5"),
        ("segment_conn_ids", []),
        ("segment_conn_ids", ["segment_default", "segment_default"]),
        ("segment_conn_ids", None),
        ("sync_mode", "everyone"),
        ("max_exit_ratio", 50),
    ],
)
def test_the_ad_hoc_form_refuses_what_cannot_be_meant(param: str, value: object) -> None:
    """Before a run begins."""
    params = parse("amplitude_segment_ad_hoc").params

    with pytest.raises(ParamValidationError):
        params[param] = value


def test_each_choice_of_the_ad_hoc_form_has_a_name_for_people() -> None:
    params = parse("amplitude_segment_ad_hoc").params

    for name in params:
        schema = params.get_param(name).schema
        choices = schema.get("enum") or (schema["examples"] if schema["type"] == "array" else [])
        assert list(schema.get("values_display", {})) == choices
        assert schema["title"]


def test_a_dry_run_counts_and_sends_nothing(sandbox: Sandbox) -> None:
    run = run_example("ad_hoc", {"dry_run": True})

    assert run.state == "success"
    assert sandbox.segment.batches == []
    report = report_of(run)
    assert report["dry_run"] is True
    assert report["destinations"][0]["planned"] == sandbox.compare(AT_RISK).members
    run_example("ad_hoc")
    assert sandbox.compare(AT_RISK).equal


def test_a_cohort_is_retired_through_the_form_after_it_was_deleted(sandbox: Sandbox) -> None:
    """First dry, as the form proposes, then for real, then once more, which finds no users."""
    run_example("several_destinations")
    members = sandbox.compare(AT_RISK).members
    believed = partial(sandbox.segment.believes, trait=f"{sandbox.amplitude.cohorts[AT_RISK].name} ({AT_RISK})")
    del sandbox.amplitude.cohorts[AT_RISK]
    form = {"cohort_id": AT_RISK, "segment_conn_ids": ["segment_default", "segment_emea"]}

    dry = run_example("retire", form)
    assert [d["planned"] for d in report_of(dry, task_id="retire_cohort")["destinations"]] == [members, members]
    assert len(believed(WRITE_KEY_DEFAULT)) == members

    for acknowledged in (members, 0):
        run = run_example("retire", {**form, "dry_run": False})
        assert run.state == "success"
        report = report_of(run, task_id="retire_cohort")
        assert [d["acknowledged"] for d in report["destinations"]] == [acknowledged, acknowledged]
        assert not believed(WRITE_KEY_DEFAULT)
        assert not believed(WRITE_KEY_EMEA)


def test_a_cohort_that_was_retired_is_synced_again_by_the_dag_that_remembers_it(sandbox: Sandbox) -> None:
    run_example("daily")
    run_example("retire", {"cohort_id": AT_RISK, "dry_run": False})
    assert sandbox.compare(AT_RISK).believed == 0

    run = run_example("daily")

    assert run.state == "success"
    assert sandbox.compare(AT_RISK).equal


def test_a_cohort_that_was_never_told_cannot_be_retired(sandbox: Sandbox) -> None:
    run_example("daily")

    assert run_example("retire", {"cohort_id": "mistyped"}).state == "failed"
    assert sandbox.compare(AT_RISK).equal


def asset_events() -> list[dict[str, Any]]:
    """Return the extras of all events of the example's asset, oldest first, from Airflow's metadata database."""
    models = importlib.import_module("airflow.models.asset" if AIRFLOW_3 else "airflow.models.dataset")
    event = models.AssetEvent if AIRFLOW_3 else models.DatasetEvent
    with importlib.import_module("airflow.utils.session").create_session() as session:
        return [row.extra for row in session.query(event).order_by(event.timestamp)]


@pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferred"])
def test_something_starts_when_the_cohort_changed_and_nothing_when_nobody_moved(
    deferrable: bool, sandbox: Sandbox
) -> None:
    sandbox.amplitude.cohorts[AT_RISK].ready_after_polls = int(deferrable)
    members = sandbox.compare(AT_RISK).members
    if not AIRFLOW_3:
        # As its scheduler does; dag.test() of 2.11 leaves out events of a dataset that its database does not know.
        parse("amplitude_segment_on_change").sync_to_db()
    before = len(asset_events())

    assert run_waiting_example("on_change", deferrable=deferrable).state == "success"
    quiet = run_waiting_example("on_change", deferrable=deferrable)
    sandbox.amplitude.churn(AT_RISK, enter=7, exit=5)
    run_waiting_example("on_change", deferrable=deferrable)

    assert quiet.get_task_instance("sync_cohort").state == "skipped"
    assert report_of(quiet)["destinations"][0]["committed"]
    first, second = asset_events()[before:]
    assert (first["entered"], first["exited"]) == (members, 0)
    assert (second["entered"], second["exited"], second["members"]) == (7, 5, members + 2)
    assert sandbox.compare(AT_RISK).equal


def test_the_consumer_adds_up_who_moved() -> None:
    """What Airflow hands it: events by asset, under the name of its line."""
    consumer = parse_dag(EXAMPLES / "amplitude_segment_on_change.py", "amplitude_segment_after_change")
    report_change = consumer.get_task("report_change").python_callable
    event = SimpleNamespace(extra={"entered": 7, "exited": 5, "acknowledged": 13})
    events = {"an asset": [event, event, SimpleNamespace(extra={})]}
    moved = {"entered": 14, "exited": 10, "acknowledged": 26}

    assert report_change(triggering_asset_events=events) == moved
    assert report_change(triggering_dataset_events=events) == moved


def test_the_consumer_triggered_by_hand_finds_nobody_who_moved() -> None:
    run = parse_dag(EXAMPLES / "amplitude_segment_on_change.py", "amplitude_segment_after_change").test()

    assert run.state == "success"
    zeros = {"entered": 0, "exited": 0, "acknowledged": 0}
    assert run.get_task_instance("report_change").xcom_pull(task_ids="report_change") == zeros


def test_a_sync_is_verified_and_users_that_segment_lost_are_sent_again(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, connection in sandbox.airflow_connections(proved=True).items():
        monkeypatch.setenv(name, connection)
    sandbox.amplitude.cohorts[AT_RISK].user_ids = sandbox.amplitude.cohorts[AT_RISK].user_ids[:20]
    at_once = {"settle_seconds": 0, "recheck_seconds": 0}
    sandbox.segment.loses_users = set(sandbox.amplitude.cohorts[AT_RISK].user_ids[:3])

    failed = run_example("verified", at_once)
    sandbox.segment.loses_users = set()
    repaired = run_example("verified", at_once)

    ti = failed.get_task_instance("verify_cohort")
    (found,) = ti.xcom_pull(task_ids="verify_cohort", key="verify_report")["destinations"]
    assert (failed.state, found["mismatches"], found["healed"]) == ("failed", 3, 3)
    (part,) = report_of(repaired)["destinations"]
    assert (repaired.state, part["planned"], part["in_doubt"]) == ("success", 3, 3)
    assert sandbox.compare(AT_RISK).equal
