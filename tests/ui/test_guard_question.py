"""A guard asks, and a person decides on Airflow's own page: the whole way in headless Chromium."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from ui.pages_airflow import PICTURES, PagesAirflow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(900)

MEMBERS, STAYING = 200, 50
DAG_ID, TASK = "asking", "sync"


@pytest.fixture(scope="module")
def admin(pages: PagesAirflow, browser: Browser) -> Page:
    """A window of the admin."""
    return pages.window(browser, "admin")


def ask(pages: PagesAirflow, cohort_id: str, **conf: int) -> str:
    """Sync 200 members, let all but 50 leave, and sync until the guard asks; return the run that waits."""
    pages.cohort(cohort_id, MEMBERS)
    pages.run("not_asking", cohort_id)
    pages.cohort(cohort_id, STAYING)
    pages.sandbox.amplitude.exports_spent = 0
    run_id = pages.airflow.start_run(DAG_ID, {"cohort_id": cohort_id, **conf})
    wait_until_parked(pages, run_id)
    return run_id


def wait_until_parked(pages: PagesAirflow, run_id: str, times: int = 1) -> None:
    """Wait until the task waits, and until the scheduler has seen so many times that its process ended.

    Airflow 3.3 takes a task for killed if it is answered before that.
    """
    ended = re.compile(rf"Received executor event with state success.*{re.escape(run_id)}")
    log = pages.airflow.home / "standalone.log"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        state = pages.airflow.task(DAG_ID, run_id, TASK)["state"]
        if state == "awaiting_input" and len(ended.findall(log.read_text(errors="replace"))) >= times:
            return
        time.sleep(0.2)
    raise TimeoutError(f"{run_id} did not ask")


def decide(admin: Page, pages: PagesAirflow, run_id: str, option: str) -> None:
    """Go from the tab to the question, read it, and press a button."""
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    admin.get_by_role("link", name=re.compile("Required Actions")).and_(admin.locator(".acs a")).click()
    admin.wait_for_url(re.compile(r"/required_actions"))
    admin.get_by_text("150 of 200 members would exit (75%)").first.wait_for()
    admin.get_by_role("button", name=option).click()


def test_send_anyway_ends_the_run_well_with_one_export_and_segment_believes_the_cohort(
    admin: Page, pages: PagesAirflow
) -> None:
    run_id = ask(pages, "asked")
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    admin.get_by_role("region", name="Question").wait_for()
    admin.set_viewport_size({"width": 1280, "height": 860})
    admin.wait_for_timeout(800)
    admin.screenshot(path=PICTURES / "cohort-sync-question.png")
    assert pages.believed("asked") == MEMBERS

    decide(admin, pages, run_id, "Send anyway")

    assert pages.airflow.wait_for_run(DAG_ID, run_id) == "success"
    assert pages.sandbox.amplitude.exports_spent == 1
    assert pages.sandbox.compare("asked").equal
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    admin.get_by_text("Done: Segment acknowledged all 150 changes.").wait_for()
    assert "Send anyway" in admin.get_by_role("region", name="Question").inner_text()
    assert re.search(
        r"Approved by\s+admin", admin.get_by_role("region", name="Destination segment_default").inner_text()
    )


def test_do_not_send_sends_nothing(admin: Page, pages: PagesAirflow) -> None:
    run_id = ask(pages, "declined")

    decide(admin, pages, run_id, "Do not send")

    assert pages.airflow.wait_for_run(DAG_ID, run_id) == "failed"
    assert pages.believed("declined") == MEMBERS
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    admin.get_by_role("region", name="Error").get_by_text("answered 'Do not send'").wait_for()


def test_a_time_out_sends_nothing(admin: Page, pages: PagesAirflow) -> None:
    run_id = ask(pages, "late", approval_timeout=5)

    assert pages.airflow.wait_for_run(DAG_ID, run_id) == "failed"
    assert pages.believed("late") == MEMBERS
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    admin.get_by_role("region", name="Error").get_by_text("No person answered in time").wait_for()


def test_a_decision_after_the_state_moved_is_asked_again(admin: Page, pages: PagesAirflow) -> None:
    run_id = ask(pages, "moved")
    pages.cohort("moved", 300)
    pages.run("not_asking", "moved")
    pages.cohort("moved", STAYING)

    decide(admin, pages, run_id, "Send anyway")
    wait_until_parked(pages, run_id, times=2)

    assert pages.believed("moved") == 300
    admin.goto(pages.tab(DAG_ID, run_id, TASK))
    question = admin.get_by_role("region", name="Question")
    question.get_by_text("250 of 300 members would exit (83%)").first.wait_for()
    assert "Airflow's form shows an earlier question and its code" in question.inner_text()
