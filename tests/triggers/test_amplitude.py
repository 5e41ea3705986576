"""The trigger reports how an export ended, waits out transient failures, and never blocks its loop."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import sync_to_async

from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.triggers.amplitude import AmplitudeCohortExportTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox with one cohort, and Airflow's connections to it."""
    with Sandbox.start(cohorts=[SandboxCohort("26umsb5", "Power Users", ["ann", "bob"])]) as running:
        for name, connection in running.airflow_connections().items():
            monkeypatch.setenv(name, connection)
        yield running


async def events(trigger: AmplitudeCohortExportTrigger) -> list[dict[str, Any]]:
    """Return all events of a trigger."""
    return [event.payload async for event in trigger.run()]


def fire(sandbox: Sandbox, **arguments: Any) -> dict[str, Any]:
    """Request an export and return the one event of a trigger for it."""
    request_id = sandbox.amplitude.request_export("26umsb5").request_id
    trigger = AmplitudeCohortExportTrigger(**{"request_id": request_id, "poll_interval": 0.01, **arguments})
    (event,) = asyncio.run(events(trigger))
    assert event["request_id"] == request_id
    assert set(event) - {"last_status"} == {"status", "request_id", "message", "retryable"}
    return event


def test_a_completed_export_is_told(sandbox: Sandbox) -> None:
    """After some polls, by IDs alone."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 3
    event = fire(sandbox)
    assert event["status"] == "completed"
    text = json.dumps(event)
    for hidden in ("ann", sandbox.amplitude.secret_key, sandbox.amplitude.api_key):
        assert hidden not in text


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 503}, {"reset": True}])
def test_what_passes_is_waited_out(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    """However often."""
    sandbox.faults.add(Fault(on="amplitude.status", times=8, **fault))
    assert fire(sandbox)["status"] == "completed"


def test_a_wait_that_is_asked_for_is_kept(sandbox: Sandbox) -> None:
    """Where it is longer than the interval."""
    sandbox.faults.add(Fault(on="amplitude.status", status=429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    assert fire(sandbox)["status"] == "completed"
    assert time.monotonic() - began > 0.9


def test_an_unknown_status_is_waited_out_and_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, not at each question."""
    body = b'{"async_status": "JOB DREAMING"}'
    sandbox.faults.add(Fault(on="amplitude.status", status=202, body=body, times=3))
    assert fire(sandbox)["status"] == "completed"
    # Airflow 3 logs through structlog, 2 through logging.
    logged = caplog.text or capsys.readouterr().out
    assert logged.count("JOB DREAMING") == 1


def test_an_export_that_never_completes_is_told_in_time(sandbox: Sandbox) -> None:
    """With what Amplitude said last; another try goes on waiting for the same one."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 10**9
    event = fire(sandbox, export_timeout=0.3)
    assert (event["status"], event["retryable"]) == ("timeout", True)
    assert event["last_status"] == "JOB INPROGRESS"
    assert "JOB INPROGRESS" in event["message"]


def test_a_trigger_that_comes_late_asks_once(sandbox: Sandbox) -> None:
    """A completed export is not thrown away for a triggerer's pause."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 0
    assert fire(sandbox, export_timeout=0)["status"] == "completed"


def test_a_trigger_that_an_earlier_version_wrote_ends_when_that_version_said(sandbox: Sandbox) -> None:
    """By a clock, and no later than before."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 10**9
    assert fire(sandbox, deadline=time.time() - 60)["status"] == "timeout"


def test_an_export_that_failed_is_told(sandbox: Sandbox) -> None:
    """Another try cannot help."""
    sandbox.faults.add(Fault(on="amplitude.status", status=404))
    event = fire(sandbox)
    assert (event["status"], event["retryable"]) == ("error", False)


def test_wrong_keys_are_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the keys."""
    wrong = {"conn_type": "amplitude", "login": "wrong-key", "password": "wrong-word", "host": sandbox.url}
    monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_WRONG", json.dumps(wrong))
    event = fire(sandbox, amplitude_conn_id="amplitude_wrong")
    assert (event["status"], event["retryable"]) == ("error", False)
    assert "region" in event["message"]
    assert "wrong-" not in event["message"]


def test_a_setting_that_cannot_be_used_is_told(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the connection and the field."""
    monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_BLANK", '{"conn_type": "amplitude"}')
    event = fire(sandbox, amplitude_conn_id="amplitude_blank")
    assert (event["status"], event["retryable"]) == ("error", False)
    assert "field 'API key'" in event["message"]


def test_a_connection_that_nobody_made_is_told(sandbox: Sandbox) -> None:
    """A retry would not find it either."""
    event = fire(sandbox, amplitude_conn_id="there_is_no_such_connection")
    assert (event["status"], event["retryable"]) == ("error", False)
    assert "there_is_no_such_connection" in event["message"]


def test_whatever_else_fails_is_told_by_its_kind(sandbox: Sandbox) -> None:
    """Its text may hold a secret, so the event does not have it."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 5
    event = fire(sandbox, poll_interval="broken-word")
    assert (event["status"], event["retryable"]) == ("error", True)
    assert "TypeError" in event["message"]
    assert "broken-word" not in event["message"]


def test_the_loop_runs_on_while_amplitude_is_slow(sandbox: Sandbox) -> None:
    """Other triggers share it."""
    sandbox.faults.add(Fault(on="amplitude.status", delay_seconds=20))
    request_id = sandbox.amplitude.request_export("26umsb5").request_id

    async def end_the_delay_from_the_loop() -> bool:
        trigger = AmplitudeCohortExportTrigger(request_id=request_id, poll_interval=0.05)
        waiting = asyncio.create_task(events(trigger))
        while not sandbox.faults.met:  # noqa: ASYNC110 - the server is in another thread, and has no event
            await asyncio.sleep(0.01)
        is_waiting = not waiting.done()
        sandbox.faults.clear()
        assert (await waiting)[0]["status"] == "completed"
        return is_waiting

    assert asyncio.run(end_the_delay_from_the_loop())


@contextmanager
def waiting_for_silence(silent: socket.socket) -> Iterator[asyncio.Task[list[dict[str, Any]]]]:
    """Give the task of a trigger whose Amplitude takes connections and says nothing."""
    trigger = AmplitudeCohortExportTrigger("amplitude_silent", "qfaZya")
    waiting = asyncio.create_task(events(trigger))
    try:
        yield waiting
    finally:
        waiting.cancel()
        # A question that is still in the queue is refused now, and the others are cut.
        silent.close()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Take connections for an Airflow connection of its own; the test that accepts one decides when it ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        silent = {"conn_type": "amplitude", "login": "k", "password": "w", "host": "127.0.0.1"}
        silent |= {"schema": "http", "port": server.getsockname()[1]}
        monkeypatch.setenv("AIRFLOW_CONN_AMPLITUDE_SILENT", json.dumps(silent))
        yield server


def test_a_silent_amplitude_keeps_nobody_elses_look_ups_waiting(silent: socket.socket) -> None:
    """Names of hosts are looked up in the loop's own threads, connections in the one thread of asgiref."""

    async def look_up() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        with waiting_for_silence(silent) as waiting:
            asked, _ = await asyncio.wait_for(loop.sock_accept(silent), 30)
            with asked:
                await asyncio.wait_for(loop.getaddrinfo("127.0.0.1", 80), 10)
                await asyncio.wait_for(sync_to_async(int)(), 10)
                assert not waiting.done()

    asyncio.run(look_up())


def test_a_kill_while_amplitude_is_silent_is_known_as_one(silent: socket.socket) -> None:
    """By the message that Airflow cancels with; without it, Airflow never calls ``on_kill``."""

    async def kill() -> None:
        loop = asyncio.get_running_loop()
        with waiting_for_silence(silent) as waiting:
            asked, _ = await asyncio.wait_for(loop.sock_accept(silent), 30)
            with asked:
                waiting.cancel("a user's action")
                with pytest.raises(asyncio.CancelledError) as cancelled:
                    await waiting
                assert cancelled.value.args == ("a user's action",)

    asyncio.run(kill())


def test_a_state_path_that_is_slow_keeps_nobody_elses_look_ups_waiting(tmp_path: Path) -> None:
    """While a killed task's claim is released."""
    claim = tmp_path / "folder" / "claim-1.json"
    claim.parent.mkdir()
    os.mkfifo(claim)
    trigger = AmplitudeCohortExportTrigger(state_place=str(tmp_path), claims={"folder": 1})

    async def look_up() -> None:
        killing = asyncio.create_task(trigger.on_kill())
        # It opens once the trigger reads, and keeps it reading until it is closed.
        with await asyncio.to_thread(claim.open, "wb"):
            await asyncio.wait_for(sync_to_async(int)(), 10)
            assert not killing.done()
        await killing

    asyncio.run(look_up())


def test_a_trigger_is_made_again_from_what_it_says_of_itself() -> None:
    """From JSON; every argument has a default, for what an older version did not write."""
    made = AmplitudeCohortExportTrigger("amplitude_eu", "qfaZya", 7.5, 1_795_442_209.5, export_timeout=60)
    path, arguments = json.loads(json.dumps(made.serialize()))
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == made.serialize()
    assert AmplitudeCohortExportTrigger().serialize()[1]["poll_interval"] == 10
