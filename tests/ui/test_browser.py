"""Headless Chromium uses Airflow 3.3 as a newcomer does, and leaves the pictures that are in the documents.

The tests are one story, in this order: each goes on where the one before it ended.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ui.airflow_ui import AirflowUi, SeenField

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.get_provider_info import connection_type
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from standalone import Standalone

    from airflow_provider_amplitude_segment.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
AD_HOC, COHORT_ID = "amplitude_segment_ad_hoc", "26umsb5"
ADDRESS = f"https://app.amplitude.com/analytics/my-org/cohort/{COHORT_ID}"
DEBUGGER = "https://app.segment.com/acme/sources/website/debugger"
# Starting Airflow takes up to a minute.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def ui(airflow: Standalone, browser: Browser) -> AirflowUi:
    """A window of Debian's Chromium."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="en", timezone_id="UTC")
    page.set_default_timeout(60_000)
    return AirflowUi(page, airflow.url, ROOT / "docs" / "images")


@pytest.fixture(scope="session")
def run(ui: AirflowUi) -> dict[str, str]:
    """Where the run is that the form has triggered; empty before."""
    assert ui
    return {}


def assert_declared(conn_type: str, standard: dict[str, SeenField], extra: dict[str, SeenField]) -> None:
    """What is seen is what the provider declares: labels, placeholders, help, choices."""
    declared = connection_type(conn_type)
    behaviour = declared["ui-field-behaviour"]
    shown = {"host", "login", "password", "port"} - set(behaviour["hidden-fields"])
    names = {name: behaviour["relabeling"].get(name, name.capitalize()) for name in shown}
    own = ["Connection ID", "Connection Type"]
    assert sorted(standard) == sorted([*own, "Description", *names.values()])
    for name, label in names.items():
        assert standard[label].placeholder == behaviour["placeholders"][name]
    assert list(extra) == [*own, *(field["label"] for field in declared["conn-fields"].values())]
    for field in declared["conn-fields"].values():
        assert field["description"] in extra[field["label"]].text


def test_the_wheel_is_what_is_tested() -> None:
    assert ".venv/ui/" in airflow_provider_amplitude_segment.__file__


def test_the_form_of_amplitude_names_its_fields_hides_the_secret_key_and_offers_the_regions(
    ui: AirflowUi, sandbox: Sandbox
) -> None:
    ui.begin_connection("amplitude_default", "Amplitude")
    standard = ui.fields()
    ui.fill(login=sandbox.amplitude.api_key, password=sandbox.amplitude.secret_key)
    ui.picture("connection-amplitude", 960)
    ui.unfold("Extra Fields")
    extra = ui.fields()
    ui.fill_param("org_url", "my-org")
    ui.picture("connection-amplitude-more", 960)
    ui.dialog.locator("#element_region").click()
    regions = ui.page.get_by_role("option").all_inner_texts()
    ui.page.get_by_role("option").first.click()

    assert_declared("amplitude", standard, extra)
    assert (standard["API key"].kind, standard["Secret key"].kind) == ("text", "password")
    assert extra["Data region"].kind == "choice"
    assert "US (United States)" in extra["Data region"].text
    assert regions == ["US (United States)", "EU (European Union)"]

    ui.unfold("Standard Fields")
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    ui.fill(host=host, port=port)
    ui.save()


def test_the_form_of_segment_names_its_fields_and_hides_the_write_key(ui: AirflowUi, sandbox: Sandbox) -> None:
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    for conn_id, write_key, source in [
        ("segment_emea", WRITE_KEY_EMEA, "emea"),
        ("segment_default", WRITE_KEY_DEFAULT, "website"),
    ]:
        ui.begin_connection(conn_id, "Segment (write key)")
        standard = ui.fields()
        ui.fill(password=write_key)
        if conn_id == "segment_default":
            ui.picture("connection-segment", 900)
        ui.fill(host=host, port=port)
        ui.unfold("Extra Fields")
        extra = ui.fields()
        ui.fill_param("workspace", "acme")
        ui.fill_param("source", source)
        if conn_id == "segment_default":
            ui.picture("connection-segment-more", 1180)
        ui.save()

    assert_declared("segmentio", standard, extra)
    assert standard["Write key"].kind == "password"


def test_the_form_of_the_public_api_hides_both_tokens(ui: AirflowUi, sandbox: Sandbox) -> None:
    space = sandbox.segment.profile_api
    ui.begin_connection("segment_api_default", "Segment (Public API)")
    standard = ui.fields()
    ui.fill(password=sandbox.segment.public_api.token)
    ui.fill(host=f"{sandbox.url}/public-api", port="443")
    ui.unfold("Extra Fields")
    extra = ui.fields()
    ui.fill_param("space_id", space.space_id)
    ui.fill_param("profile_api_token", space.token)
    ui.fill_param("profile_host", f"{sandbox.url}/profile-api")
    ui.save()

    assert_declared("segmentapi", standard, extra)
    assert standard["Public API token"].kind == extra["Profile API token"].kind == "password"


def test_the_test_button_says_which_workspace_the_token_opens_and_that_the_space_responds(ui: AirflowUi) -> None:
    message = ui.test_connection("segment_api_default")

    assert message.startswith(
        "Test Connection Successful\nWorks: the token opens the workspace 'Sandbox' (slug 'sandbox'"
    )
    assert "It may see write keys, so each sync can check its own." in message
    assert message.endswith("opens the space 'spa_sandbox'.")


def test_the_test_button_proves_a_write_key_where_the_connection_names_the_public_api(
    ui: AirflowUi, sandbox: Sandbox
) -> None:
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    ui.begin_connection("segment_proved", "Segment (write key)")
    ui.fill(password=WRITE_KEY_DEFAULT, host=host, port=port)
    ui.unfold("Extra Fields")
    ui.fill_param("api_conn_id", "segment_api_default")
    ui.save()

    message = ui.test_connection("segment_proved")
    ui.picture("connection-test-proved", 600)

    assert message.startswith(
        "Test Connection Successful\nWorks: the write key is that of source 'segment_default' in workspace 'sandbox', "
        "and the source is enabled (proved by connection 'segment_api_default'; data region: "
    )


def test_the_test_button_says_that_the_keys_of_amplitude_work(ui: AirflowUi) -> None:
    message = ui.test_connection("amplitude_default")

    assert message.startswith("Test Connection Successful\nWorks: Amplitude accepts both keys (data region US, ")


def test_the_test_button_says_that_segment_accepts_any_key_and_where_to_look(ui: AirflowUi) -> None:
    message = ui.test_connection("segment_default")
    ui.picture("connection-test", 600)

    assert message.startswith("Test Connection Successful\nReached, but Segment accepts any key: ")
    assert message.endswith(DEBUGGER)


def test_the_test_button_says_that_keys_were_refused_and_both_reasons(ui: AirflowUi, sandbox: Sandbox) -> None:
    host, _, port = sandbox.url.removeprefix("http://").partition(":")
    ui.begin_connection("amplitude_mistyped", "Amplitude")
    ui.fill(login="no-such-key", password="no-such-secret", host=host, port=port)
    ui.save()

    message = ui.test_connection("amplitude_mistyped")

    assert message.startswith("Test Connection Failed\nRefused: Amplitude does not accept these keys (HTTP 40")
    assert "Wrong key?" in message
    assert "Wrong region?" in message


def test_the_trigger_form_refuses_a_cohort_that_is_none(ui: AirflowUi) -> None:
    ui.open(f"/dags/{AD_HOC}")
    ui.press("Trigger Dag")
    ui.fill_param("cohort_id", "everyone we like")
    ui.dialog.get_by_test_id("trigger-dag-submit").press("Enter")

    ui.dialog.get_by_text("Invalid input for param cohort_id: 'everyone we like'").wait_for()


def test_the_trigger_form_is_filled_in_without_code(ui: AirflowUi, run: dict[str, str]) -> None:
    ui.open(f"/dags/{AD_HOC}")
    ui.press("Trigger Dag")
    ui.dialog.locator("#element_cohort_id").wait_for()
    seen = ui.fields()
    ui.fill_param("cohort_id", ADDRESS)
    ui.choose("segment_conn_ids", "EMEA (segment_emea)")
    ui.choose("sync_mode", "Everyone again, with all former members (full)")
    ui.picture("trigger-form", 1120)

    assert (seen["Cohort"].kind, seen["Destinations"].kind, seen["Mode"].kind) == ("text", "choice", "choice")
    assert "copied from the browser" in seen["Cohort"].text
    assert "Website (segment_default)" in seen["Destinations"].text
    assert seen["Dry run"].kind == "checkbox"
    ui.unfold("Advanced")
    assert "Largest share that may exit" in ui.fields()

    run["path"] = ui.trigger()


def test_both_links_are_there_while_the_task_runs(
    ui: AirflowUi, airflow: Standalone, run: dict[str, str], sandbox: Sandbox
) -> None:
    """The test does not follow them, because they lead outside."""
    deadline = time.monotonic() + 120
    while sandbox.segment.identifies_received == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    ui.open(f"{run['path']}/tasks/sync_cohort/details")
    ui.page.get_by_role("link", name="Cohort in Amplitude").wait_for()
    links = ui.links()
    state = airflow.task(AD_HOC, airflow.runs(AD_HOC)[-1]["dag_run_id"], "sync_cohort")["state"]
    ui.picture("task-links", 560)

    assert state == "running"
    assert links == {"Cohort in Amplitude": ADDRESS, "Debugger in Segment": DEBUGGER}


def test_the_run_ends_well_with_the_same_links_and_a_log_that_tells_it(
    ui: AirflowUi, airflow: Standalone, run: dict[str, str]
) -> None:
    run_id = airflow.runs(AD_HOC)[-1]["dag_run_id"]
    assert airflow.wait_for_run(AD_HOC, run_id) == "success"

    ui.open(f"{run['path']}/tasks/sync_cohort/details")
    ui.page.get_by_role("link", name="Cohort in Amplitude").wait_for()
    assert ui.links() == {"Cohort in Amplitude": ADDRESS, "Debugger in Segment": DEBUGGER}

    # Lines outside of the window are not on the page.
    ui.resize(2000)
    ui.open(f"{run['path']}/tasks/sync_cohort")
    ui.page.get_by_text("acknowledged").first.wait_for()
    log = ui.page.locator("body").inner_text()
    assert "Lifecycle: at risk of leaving" in log
    assert f"Debugger of segment_default: {DEBUGGER}" in log
    for heading in ("Request the export", "Compare with the ledger", "Send to Segment"):
        assert heading in log
    assert "Summary: done." in log
    ui.picture("task-log", 900)
    ui.resize(640)
    ui.open(run["path"])
    ui.press("Show Graph (Press g)")
    ui.page.get_by_role("button", name="Fit View").wait_for()
    ui.press("Fit View")
    ui.picture("run-graph", 640)


def test_segment_believes_the_cohort_at_both_destinations(sandbox: Sandbox) -> None:
    for write_key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA):
        comparison = sandbox.compare(COHORT_ID, write_key=write_key)
        assert comparison.members > 10_000
        assert comparison.equal
