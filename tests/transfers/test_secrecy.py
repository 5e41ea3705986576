"""Nothing secret and no user ID leaves the worker but to Amplitude, Segment and the ledger, however a sync ends."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred, mask_secret
from fakes.clock import FakeClock
from fakes.oauth_segment import WRITE_KEY, OAuthSegment, private_key
from fakes.recording_server import CannedResponse

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


@pytest.fixture
def masker(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Airflow's masker, through which each log line of a task goes, before it knows any secret."""
    airflows = mask_secret.__globals__["_secrets_masker"]()
    monkeypatch.setattr(airflows, "patterns", set())
    monkeypatch.setattr(airflows, "replacer", None)
    return airflows


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", ""),
        lambda pem: pem.replace("\n", "\r\n"),
    ],
    ids=["line breaks", "escaped", "one line", "of Windows"],
)
def test_the_private_key_of_oauth_is_masked_whole_by_line_and_escaped(
    write: Callable[[str], str], masker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a careless task of a user's logs of the connection, after a hook has read it."""
    written = write(private_key())
    with OAuthSegment() as segment:
        fields = segment.connection(oauth_private_key=written)
        monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(fields))
        lines = private_key().splitlines()[1:-1]
        assert masker.redact(lines[3]) == lines[3]

        hook = SegmentHook()
        client = hook.get_conn()
        assert client.request_token() is None
        connection = hook.get_connection("segment_default")

    logged = [
        written,
        private_key(),
        *lines,
        "".join(lines),
        *(encode(text) for encode in (quote, quote_plus) for text in (private_key(), *lines)),
        connection.get_uri(),
        *(json.dumps(text) for text in (written, private_key())),
        connection.extra,
        repr(connection.extra_dejson),
        f"{connection!r} {vars(connection)}",
        f"{client!r} {hook!r} {vars(hook)} {vars(client)}",
    ]
    shown = [masker.redact(line) for line in logged]
    assert all("***" in text for text in shown[:-4])
    for line in lines:
        assert all(form not in text for text in shown for form in (line, quote(line), quote_plus(line)))


def revoked(segment: OAuthSegment) -> None:
    segment.revoked = True


def refused(segment: OAuthSegment) -> None:
    segment.batch_script = [CannedResponse(403, body=b"Bearer tok-0001")] * 9


def down(segment: OAuthSegment) -> None:
    segment.token_script = [CannedResponse(503, body=private_key().encode())] * 99


@pytest.mark.parametrize("goes_wrong", [lambda _: None, revoked, refused, down], ids=["", "revoked", "refused", "down"])
def test_a_sync_with_oauth_shows_no_key_token_or_assertion(
    goes_wrong: Callable[[OAuthSegment], None],
    sync: Sync,
    ti: FakeTaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    ended = ""
    with OAuthSegment(clock.now) as segment:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(segment.connection()))
        goes_wrong(segment)
        try:
            ended = repr(sync(clock=clock))
        except Exception as error:  # noqa: BLE001 - however it ends
            ended = f"{error} {error!r} {vars(error)} {error.__cause__!r} {vars(error.__cause__ or error)}"
        sent = {came.headers.get("authorization", "").partition(" ")[2] for came in segment.came} - {""}
        assertions = {
            value for came in segment.came if came.path == "/token" for value in came.body.decode().split("&")
        }

    published = caplog.text + "".join(capsys.readouterr()) + ended + json.dumps(ti.xcoms)
    assert "Power Users" in published
    assert assertions
    for hidden in {*segment.tokens, *sent, WRITE_KEY, *private_key().splitlines()[1:-1]}:
        assert hidden not in published
    assert "eyJ" not in published


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
