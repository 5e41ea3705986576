"""Nothing secret and no user ID leaves the worker but to Amplitude, Segment and the ledger, however a sync ends."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fakes.task_instance import FakeTaskInstance, Sync

USERS = ["carla-4711@example.com", "poisoned-0815@example.com", "dora-1234@example.com"]
PROPERTY_VALUE = "Ludwigshafen-4711"


def secrets_of(sandbox: Sandbox) -> set[str]:
    """Every key, and every form in which it goes over the wire."""
    keys = {sandbox.amplitude.api_key, sandbox.amplitude.secret_key}
    for value in sandbox.airflow_connections().values():
        connection = json.loads(value)
        keys |= {connection.get("password"), connection.get("login")} - {None}
    pairs = [f"{sandbox.amplitude.api_key}:{sandbox.amplitude.secret_key}", *(f"{key}:" for key in keys)]
    return keys | {base64.b64encode(pair.encode()).decode() for pair in pairs}


def rejects(sandbox: Sandbox) -> None:
    sandbox.segment.poisoned = {USERS[1]}
    # What Segment says of a message quotes it.
    sandbox.faults.add(Fault(on="segment.batch", status=400, body=json.dumps({"message": USERS[1]}).encode(), times=2))


def is_down(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(on="segment.batch", status=403, body=USERS[0].encode(), times=99))


def answers_nonsense(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(on="segment.batch", status=302, headers={"Location": f"/{USERS[0]}"}, times=99))


def amplitude_quotes(sandbox: Sandbox) -> None:
    body = f"{USERS[0]} {sandbox.amplitude.secret_key}".encode()
    sandbox.faults.add(Fault(on="amplitude.status", status=503, body=body, times=2))
    sandbox.faults.add(Fault(on="amplitude.file", status=502, body=body))


def file_is_broken(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault(on="amplitude.storage", status=200, body=f'"user_id"\n"{USERS[0]}","x","y"\n"'.encode()))


def nothing(_sandbox: Sandbox) -> None:
    """Let all go well."""


@pytest.mark.parametrize("goes_wrong", [nothing, rejects, is_down, answers_nonsense, amplitude_quotes, file_is_broken])
@pytest.mark.parametrize("parameters", [{"user_properties": "town"}, {"dry_run": True}], ids=["sync", "dry run"])
def test_no_secret_and_no_user_is_told_to_airflow(
    goes_wrong: Callable[[Sandbox], None],
    parameters: dict[str, Any],
    sandbox: Sandbox,
    sync: Sync,
    ti: FakeTaskInstance,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    sandbox.amplitude.cohorts["c1"].user_ids = USERS
    sandbox.amplitude.cohorts["c1"].properties = {user: {"town": PROPERTY_VALUE} for user in USERS}
    sandbox.amplitude.cohorts["c1"].delivery = "storage"
    goes_wrong(sandbox)

    ended = ""
    try:
        ended = repr(sync(**parameters))
    except Exception as error:  # noqa: BLE001 - however it ends
        while error.__cause__ is not None:
            ended += f"{error} {error!r} {vars(error)}"
            error = error.__cause__
        ended += f"{error} {error!r} {vars(error)}"

    reports = "".join(path.read_text() for path in (tmp_path / "state").rglob("reports/*.json"))
    logged = caplog.text + "".join(capsys.readouterr())
    assert "Power Users" in logged + ended + reports
    published = logged + ended + json.dumps(ti.xcoms) + reports
    for hidden in {*USERS, *secrets_of(sandbox), PROPERTY_VALUE, "/storage/"}:
        assert hidden not in published


def test_no_secret_and_no_user_stands_in_a_trigger_row_or_in_a_rendered_template(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].user_ids = USERS
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 9

    with pytest.raises(TaskDeferred) as deferred:
        sync(deferrable=True, segment_conn_id=["segment_default", "segment_emea"])

    operator = AmplitudeCohortToSegmentOperator(task_id="t", cohort_id="c1")
    rendered = {field: getattr(operator, field) for field in operator.template_fields}
    kept = f"{deferred.value.trigger.serialize()} {deferred.value.trigger!r} {rendered} {operator!r}"
    for hidden in {*USERS, *secrets_of(sandbox)}:
        assert hidden not in kept


def test_no_client_and_no_hook_shows_its_key(sandbox: Sandbox) -> None:
    amplitude, segment = AmplitudeHook(), SegmentHook()
    shown = [amplitude, segment, amplitude.get_conn(), segment.get_conn(), segment.describe()]

    for hidden in secrets_of(sandbox):
        assert all(hidden not in f"{thing!r} {thing}" for thing in shown)


@pytest.mark.parametrize("connection", ["../../etc", "/etc/passwd", "a\0b", "x" * 300, "-" + "0" * 24, "runs"])
def test_a_hostile_destination_id_never_leaves_its_cohorts_folder(
    connection: str, sync: Sync, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_DEFAULT"])
    hostile["extra"] = {**hostile.get("extra", {}), "destination_id": connection}
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(hostile))

    (destination,) = sync()["destinations"]

    assert destination["committed"]
    assert [path.name for path in tmp_path.iterdir() if path.name != "airflow"] == ["state"]
    (app,) = {path for path in (tmp_path / "state").iterdir() if path.name != "amplitude-segment-state.json"}
    assert {path.name for path in app.iterdir()} == {"c1"}
    assert len({path.name for path in (app / "c1").iterdir()} - {"runs"}) == 1
