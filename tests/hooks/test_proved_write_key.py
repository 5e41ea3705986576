"""The Test button of a write key whose connection names the Public API."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clock import FakeClock
from fakes.oauth_segment import APP_ID, KEY_ID, private_key, public_key_of

from airflow_provider_amplitude_segment.core.ledger.stream import key_fingerprint
from airflow_provider_amplitude_segment.hooks.public_api import open_public_api
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault, Sandbox, SandboxSource

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def press(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[bool, str]]:
    """Return what presses Test of a changed connection, which Airflow tests under an ID of its own."""
    made = {name: json.loads(value) for name, value in sandbox.airflow_connections(proved=True).items()}

    def pressed(*, extra: dict[str, Any] | None = None, **fields: Any) -> tuple[bool, str]:
        connection = {**made["AIRFLOW_CONN_SEGMENT_DEFAULT"], **fields}
        connection["extra"] = {**connection["extra"], **(extra or {})}
        monkeypatch.setenv("AIRFLOW_CONN_TMP4711", json.dumps(connection))
        passed, said = SegmentHook("tmp4711").test_connection()
        assert "tmp4711" not in said.lower()
        assert WRITE_KEY_DEFAULT not in said
        return passed, said

    return pressed


def test_a_proved_key_is_said_with_workspace_source_region_and_debugger(
    press: Callable[..., tuple[bool, str]],
) -> None:
    assert press(extra={"region": "US"}) == (
        True,
        (
            "Works: the write key is that of source 'segment_default' in workspace 'sandbox', and the source is "
            "enabled (proved by connection 'segment_api_default'; data region: US). Its debugger: "
            "https://app.segment.com/sandbox/sources/segment_default/debugger"
        ),
    )


def test_a_proved_key_does_not_prove_that_an_oauth_application_is_connected_to_the_source(
    press: Callable[..., tuple[bool, str]], sandbox: Sandbox
) -> None:
    sandbox.segment.oauth.add_app(APP_ID, KEY_ID, public_key_of(private_key()))
    extra = {"oauth_app_id": APP_ID, "oauth_key_id": KEY_ID, "oauth_private_key": private_key()}

    passed, said = press(extra={**extra, "oauth_host": f"{sandbox.url}/oauth2"})

    assert passed
    assert said.startswith("Works: the write key is that of source 'segment_default'")
    assert "this does NOT prove that the application is connected to the source. Its debugger: https://" in said


def test_a_host_of_the_users_own_has_no_known_region(press: Callable[..., tuple[bool, str]]) -> None:
    assert "data region: not known, because Host is none of Segment's" in press()[1]


def test_a_wrong_key_is_one(press: Callable[..., tuple[bool, str]]) -> None:
    passed, said = press(password="wrongWriteKey0000000000000000001")

    assert not passed
    assert said.startswith(
        "Wrong write key: it belongs to no source of workspace 'sandbox', which connection 'segment_api_default' opens."
    )


def test_a_disabled_source_is_one(press: Callable[..., tuple[bool, str]], sandbox: Sandbox) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = False

    passed, said = press()

    assert not passed
    assert said.startswith("Right key, but its source 'segment_default' in workspace 'sandbox' is disabled")


def test_another_region_is_one(
    press: Callable[..., tuple[bool, str]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_API_DEFAULT"])
    api["extra"]["region"] = "EU"
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_API_DEFAULT", json.dumps(api))

    passed, said = press(extra={"region": "US"})

    assert not passed
    assert "Choose EU as Data region" in said


def test_a_token_that_may_not_see_keys_leaves_todays_text_and_says_why(
    press: Callable[..., tuple[bool, str]], sandbox: Sandbox
) -> None:
    sandbox.segment.public_api.sees_write_keys = False

    passed, said = press()

    assert passed
    assert said.startswith("Reached, but Segment accepts any key:")
    assert "does not prove the key: the token of connection 'segment_api_default' may not see the write keys" in said


@pytest.mark.parametrize(("kind_id", "refuted"), [("2baks93n", True), ("pHcia14h1B", False)])
def test_a_source_without_a_key_hides_a_wrong_one_only_if_its_kind_has_keys(
    press: Callable[..., tuple[bool, str]], sandbox: Sandbox, kind_id: str, refuted: bool
) -> None:
    """Salesforce has none; Amplitude Cohorts, a source of events, has one."""
    sandbox.segment.add_source(SandboxSource("crm", "crm", kind_id=kind_id))

    assert press()[1].startswith("Works: the write key is that of source")
    passed, said = press(password="a-key-of-no-source")

    assert passed is not refuted
    assert said.startswith("Wrong write key: " if refuted else "Reached, but Segment accepts any key: ")


def test_a_public_api_that_is_down_leaves_todays_text_and_says_why(
    press: Callable[..., tuple[bool, str]], sandbox: Sandbox
) -> None:
    sandbox.faults.add(Fault(on="segment.public", status=503, headers={"Retry-After": "60"}, times=9))

    passed, said = press()

    assert passed
    assert said.startswith("Reached, but Segment accepts any key:")
    assert "HTTP 503" in said


def test_a_source_that_drops_unplanned_traits_is_said(press: Callable[..., tuple[bool, str]], sandbox: Sandbox) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.tracking_plan_id, source.mode = "tp_1", "BLOCK"

    assert "add the trait of each cohort to it" in press()[1]


@pytest.mark.parametrize(
    ("api_conn_id", "said"),
    [
        ("nowhere", "Field 'Public API connection ID': connection 'nowhere': Airflow finds none of this ID"),
        (
            "amplitude_default",
            "Field 'Public API connection ID': connection 'amplitude_default' is of type 'amplitude'",
        ),
    ],
)
def test_a_connection_that_is_no_public_api_is_named_by_the_forms_label(
    press: Callable[..., tuple[bool, str]], api_conn_id: str, said: str
) -> None:
    passed, text = press(extra={"api_conn_id": api_conn_id})

    assert not passed
    assert text.startswith(said)


def test_a_public_api_without_a_token_is_named_by_its_own_id(
    press: Callable[..., tuple[bool, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_API_DEFAULT", json.dumps({"conn_type": "segmentapi"}))

    passed, said = press()

    assert not passed
    assert said.startswith("Not tested: connection 'segment_api_default', field 'Public API token': it is missing")


@pytest.mark.parametrize(
    ("fields", "region"),
    [
        ({}, "US"),
        ({"extra": {"region": "EU"}}, "EU"),
        ({"host": "https://events.eu1.segmentapis.com"}, "EU"),
        ({"host": "https://proxy.example.com"}, None),
        ({"host": "https://proxy.example.com", "extra": {"region": "EU"}}, "EU"),
    ],
)
def test_a_region_is_known_where_the_connection_or_a_regions_own_host_says_it(
    connect: Callable[..., str], fields: dict[str, Any], region: str | None
) -> None:
    described = SegmentHook(connect("s", conn_type="segmentio", password="k" * 20, **fields)).describe()

    assert described.region == region


@pytest.mark.usefixtures("sandbox")
def test_the_public_api_knows_a_key_by_the_same_fingerprint_as_the_destination() -> None:
    with open_public_api("segment_api_default", "segment_default", time.monotonic) as access:
        keys = [source.keys for source in access.api.sources("api.segment.io")]

    assert key_fingerprint("api.segment.io", WRITE_KEY_DEFAULT) in frozenset().union(*keys)


def test_no_request_begins_when_the_time_is_over(sandbox: Sandbox) -> None:
    clock = FakeClock()
    with open_public_api("segment_api_default", "segment_default", clock.monotonic) as access:
        access.limit.begin(20)
        access.api.workspace()
        clock.pass_by(21)

        with pytest.raises(TimeoutError):
            access.api.workspace()

    assert sandbox.segment.public_api.requests == 1
