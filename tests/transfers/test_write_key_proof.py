"""A sync proves its write key by the sandbox's Public API before it spends or sends anything."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import SettingError, SourceDisabledError, WriteKeyError
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    Fault,
    Sandbox,
    SandboxCohort,
    SandboxDestination,
)

TRAIT = "Power Users (c1)"
DEBUGGER = "https://app.segment.com/sandbox/sources/segment_default/debugger"
BUSY = Fault(on="segment.public", status=429, headers={"Retry-After": "60"}, times=100)

Connect = Callable[..., None]


@pytest.fixture(autouse=True)
def connect(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return what changes a connection; those of the write keys name the Public API's."""

    def change(conn_id: str, *, extra: dict[str, Any] | None = None, **fields: Any) -> None:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        connection = json.loads(sandbox.airflow_connections(proved=True)[name])
        connection["extra"] = {**connection.get("extra", {}), **(extra or {})}
        monkeypatch.setenv(name, json.dumps({**connection, **fields}))

    for conn_id in ("segment_default", "segment_emea", "segment_api_default"):
        change(conn_id)
    return change


def believed(sandbox: Sandbox) -> set[str]:
    return set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT))


def refusal(sync: Sync, **parameters: Any) -> BaseException | None:
    with pytest.raises(AirflowFailException) as caught:
        sync(**parameters)
    return caught.value.__cause__


def assert_untouched(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.amplitude.exports_spent == 0
    assert sandbox.segment.batches_received == 0
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["amplitude-segment-state.json"]


def test_a_proved_key_is_in_the_report_and_found_slugs_are_in_the_link(
    sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance
) -> None:
    report = sync()

    assert report["destinations"][0]["source_checked"] == "proved"
    assert ti.xcoms["segment_debugger_url"] == DEBUGGER
    assert believed(sandbox) == {"ann", "bob"}
    assert sandbox.segment.public_api.requests <= 5


def test_a_second_mapped_task_and_a_retry_ask_nothing(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c2"] = SandboxCohort("c2", "Buyers", ["cat"])
    sync(FakeTaskInstance(map_index=0))
    asked = sandbox.segment.public_api.requests

    retry, mapped = FakeTaskInstance(map_index=0, try_number=2), FakeTaskInstance(map_index=1)
    reports = [sync(retry), sync(mapped, cohort_id="c2")]

    assert sandbox.segment.public_api.requests == asked
    assert [report["destinations"][0]["source_checked"] for report in reports] == ["proved", "proved"]
    assert mapped.xcoms["segment_debugger_url"] == DEBUGGER


def test_the_next_run_asks_again(sandbox: Sandbox, sync: Sync, ti: FakeTaskInstance) -> None:
    sync()
    asked = sandbox.segment.public_api.requests

    sync(ti.next_run("later"))

    assert sandbox.segment.public_api.requests == 2 * asked


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_wrong_key_costs_nothing(
    sandbox: Sandbox, sync: Sync, connect: Connect, tmp_path: Path, dry_run: bool
) -> None:
    connect("segment_default", password="wrongWriteKey0000000000000000001")

    error = refusal(sync, dry_run=dry_run)

    assert isinstance(error, WriteKeyError)
    assert "belongs to no source of workspace 'sandbox', which connection 'segment_api_default' opens" in str(error)
    assert_untouched(sandbox, tmp_path)


def test_a_disabled_source_costs_nothing(sandbox: Sandbox, sync: Sync, tmp_path: Path) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = False

    assert isinstance(refusal(sync), SourceDisabledError)
    assert_untouched(sandbox, tmp_path)


def test_a_key_of_the_other_region_costs_nothing(
    sandbox: Sandbox, sync: Sync, connect: Connect, tmp_path: Path
) -> None:
    connect("segment_default", extra={"region": "US"})
    connect("segment_api_default", extra={"region": "EU"})

    error = refusal(sync)

    assert isinstance(error, WriteKeyError)
    assert error.region == "EU"
    assert_untouched(sandbox, tmp_path)


def test_a_retirement_proves_the_key_too(sandbox: Sandbox, sync: Sync, retire: Sync) -> None:
    sync()
    ti = FakeTaskInstance(run_id="retire")
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = False
    assert isinstance(refusal(retire), SourceDisabledError)
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = True

    assert retire(ti)["destinations"][0]["source_checked"] == "proved"
    assert ti.xcoms["segment_debugger_url"] == DEBUGGER
    assert believed(sandbox) == set()


def assert_unknown(sandbox: Sandbox, report: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert report["destinations"][0]["source_checked"] == "unknown"
    assert believed(sandbox) == {"ann", "bob"}
    assert [
        r.levelno for r in caplog.records if "not proved" in r.getMessage() and "The sync goes on" in r.getMessage()
    ] == [logging.WARNING]


@pytest.mark.parametrize(
    "fault",
    [
        BUSY,
        Fault(on="segment.public", status=503, headers={"Retry-After": "60"}, times=100),
        Fault(on="segment.public", status=500, after=1, headers={"Retry-After": "60"}, times=100),
        Fault(on="segment.public", status=200, body=b"<html>a proxy</html>", times=100),
    ],
    ids=["busy", "down", "down_on_the_way", "odd"],
)
def test_a_public_api_that_is_not_there_is_a_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    sandbox.faults.add(fault)

    assert_unknown(sandbox, sync(), caplog)


def test_a_slow_public_api_is_a_warning(
    sandbox: Sandbox, sync: Sync, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect("segment_api_default", extra={"timeout": 0.05})
    # With a status, so that no request is served, and counted, after this test.
    sandbox.faults.add(Fault(on="segment.public", delay_seconds=600, status=503, times=100))

    report = sync()

    sandbox.faults.clear()
    assert_unknown(sandbox, report, caplog)


def test_a_refused_token_is_a_warning(
    sandbox: Sandbox, sync: Sync, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    connect("segment_api_default", password="sgp_of_another_workspace")

    report = sync()

    assert_unknown(sandbox, report, caplog)
    assert "Segment refuses the token of connection 'segment_api_default'" in caplog.text
    assert "sgp_of_another_workspace" not in caplog.text


def test_a_token_that_may_not_see_keys_is_a_warning(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.segment.public_api.sees_write_keys = False

    assert_unknown(sandbox, sync(), caplog)


def test_a_trait_that_will_be_dropped_is_named_and_a_source_that_feeds_amplitude_too(
    sandbox: Sandbox, sync: Sync, caplog: pytest.LogCaptureFixture
) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.tracking_plan_id, source.planned_traits, source.mode = "tp_1", {"email"}, "OMIT_TRAITS"
    source.destinations = [SandboxDestination("Amplitude (Actions)", "actions-amplitude", "d1")]
    caplog.set_level(logging.INFO)

    sync()

    assert f"Segment will drop trait {TRAIT!r}" in caplog.text
    assert "also feeds Amplitude" in caplog.text


def test_two_destinations_of_one_public_api_list_the_sources_once(sandbox: Sandbox, sync: Sync) -> None:
    report = sync(segment_conn_id=["segment_default", "segment_emea"])

    assert [part["source_checked"] for part in report["destinations"]] == ["proved", "proved"]
    # The workspace and its sources once, and of each source its plan and its destinations.
    assert sandbox.segment.public_api.requests == 2 + 2 * 2


@pytest.mark.parametrize(
    ("api_conn_id", "problem"),
    [
        ("nowhere", "connection 'nowhere': Airflow finds none of this ID"),
        ("amplitude_default", "connection 'amplitude_default' is of type 'amplitude'"),
    ],
)
def test_a_connection_that_is_no_public_api_is_named(
    sandbox: Sandbox, sync: Sync, connect: Connect, api_conn_id: str, problem: str
) -> None:
    connect("segment_default", extra={"api_conn_id": api_conn_id})

    error = refusal(sync)

    assert isinstance(error, SettingError)
    assert str(error).startswith(f"connection 'segment_default', field 'Public API connection ID': {problem}")
    assert sandbox.amplitude.exports_spent == 0


def test_neither_a_key_nor_the_token_is_in_the_state_path_or_the_log(
    sandbox: Sandbox, sync: Sync, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    sync()

    (kept,) = (tmp_path / "state").glob("amplitude-segment-source-*.json")
    for secret in (WRITE_KEY_DEFAULT, sandbox.segment.public_api.token):
        assert secret not in kept.read_text() + kept.name + caplog.text
