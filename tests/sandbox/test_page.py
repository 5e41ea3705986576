"""The page and its JSON twins show and change what the sandbox holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

TRAIT = "Power users (26umsb5)"


def identify(user_id: str, *, value: bool = True) -> dict[str, Any]:
    """Make an identify."""
    return {"type": "identify", "userId": user_id, "traits": {TRAIT: value}}


def get(sandbox: Sandbox, path: str) -> requests.Response:
    """Ask the sandbox."""
    return requests.get(sandbox.url + path, timeout=20)


def post(sandbox: Sandbox, path: str, **asked: Any) -> requests.Response:
    """Post to the sandbox."""
    return requests.post(sandbox.url + path, json=asked, timeout=20)


def test_the_page_needs_nothing_from_elsewhere(sandbox: Sandbox) -> None:
    """The page is one file of HTML without a link to another host, and no write key is on it."""
    page = get(sandbox, "/")

    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert WRITE_KEY_DEFAULT not in page.text


def test_the_state_tells_what_segment_believes(sandbox: Sandbox, segment: Any) -> None:
    """The state has cohorts, counts for each source and trait, and batches, with labels for write keys."""
    segment.send(identify("ann"), identify("bob", value=False))
    segment.send(identify("ann"), write_key="some-other-write-key-ABCD")

    answer = get(sandbox, "/sandbox/state")
    state = answer.json()

    assert state["cohorts"][0]["cohort_id"] == "26umsb5"
    assert state["cohorts"][0]["members"] == 3
    assert {source["label"]: source["traits"] for source in state["segment"]} == {
        "segment_default": {TRAIT: {"true": 1, "false": 1}},
        "segment_emea": {},
        "…ABCD": {TRAIT: {"true": 1, "false": 0}},
    }
    assert [batch["write_key"] for batch in state["batches"]] == ["segment_default", "…ABCD"]
    assert state["received"]["identifies"] == 3
    for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, "some-other-write-key-ABCD"):
        assert key not in answer.text


def test_the_state_says_which_sources_take_data(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann"), write_key="some-other-write-key-ABCD")
    sandbox.segment.sources[WRITE_KEY_EMEA].enabled = False
    sandbox.segment.suppressed.add("bob")

    state = get(sandbox, "/sandbox/state").json()
    enabled = {source["label"]: source["enabled"] for source in state["segment"]}
    assert enabled == {"segment_default": True, "segment_emea": False, "\u2026ABCD": None}
    assert state["suppressed_users"] == 1


def test_two_keys_with_one_ending_have_labels_of_their_own(sandbox: Sandbox, segment: Any) -> None:
    """Write keys with the same end get different labels."""
    segment.send(identify("ann"), write_key="first-write-key-ABCD")
    segment.send(identify("ann"), write_key="second-write-key-ABCD")

    assert list(sandbox.segment.write_keys.values())[2:] == ["…ABCD", "…ABCD (2)"]


def test_the_believed_users_can_be_listed(sandbox: Sandbox, segment: Any) -> None:
    """Users are returned as a list, as lines or as counts, by label or by key; hazards stay whole."""
    users = ["line\nbreak", "caf\u00e9", "\ud800"]
    segment.send(*(identify(user_id) for user_id in users), identify("bob", value=False))
    path = f"/sandbox/segment/segment_default/believes?trait={TRAIT}"

    assert sorted(get(sandbox, path).json()) == sorted(users)
    assert get(sandbox, path.replace("segment_default", WRITE_KEY_DEFAULT)).json() == get(sandbox, path).json()
    assert '"line\\nbreak"' in get(sandbox, path + "&format=lines").text.splitlines()
    assert get(sandbox, path + "&format=count").json() == {"true": 3, "false": 1}
    assert get(sandbox, path + "&format=xml").status_code == 400
    assert get(sandbox, "/sandbox/segment/unknown/believes?trait=t").status_code == 404


def track(user_id: str, event: str, message_id: str) -> dict[str, Any]:
    """Make a track."""
    properties = {"cohort_id": "26umsb5"}
    return {"type": "track", "userId": user_id, "event": event, "messageId": message_id, "properties": properties}


def test_the_events_of_a_journey_are_listed_by_user_without_copies(sandbox: Sandbox, segment: Any) -> None:
    """A copy by message ID and a suppressed user's event are left out; the order is that of arrival."""
    sandbox.segment.suppressed.add("cat")
    entered, exited = track("ann", "Cohort Entered", "1"), track("ann", "Cohort Exited", "2")
    segment.send(identify("ann"), entered, exited, track("bob", "Cohort Entered", "3"), track("cat", "Entered", "4"))
    segment.send(entered, track("dan", "Cohort Entered", "3"))
    path = "/sandbox/segment/segment_default/journeys"

    journeys = get(sandbox, path).json()
    assert {user: [event["event"] for event in events] for user, events in journeys.items()} == {
        "ann": ["Cohort Entered", "Cohort Exited"],
        "bob": ["Cohort Entered"],
    }
    assert journeys["ann"][0]["properties"] == {"cohort_id": "26umsb5"}
    assert get(sandbox, path + "?user_id=ann").json() == {"ann": journeys["ann"]}
    assert get(sandbox, path + "?user_id=eve").json() == {"eve": []}
    assert get(sandbox, "/sandbox/segment/segment_emea/journeys").json() == {}
    assert get(sandbox, "/sandbox/segment/unknown/journeys").status_code == 404
    source = get(sandbox, "/sandbox/state").json()["segment"][0]
    assert source["events"] == {"Cohort Entered": 2, "Cohort Exited": 1}


def test_a_reset_forgets_the_events(sandbox: Sandbox, segment: Any) -> None:
    """After a reset, an event with the same message ID is no copy."""
    segment.send(track("ann", "Cohort Entered", "1"))
    post(sandbox, "/sandbox/reset")
    assert sandbox.segment.journeys(WRITE_KEY_DEFAULT) == {}

    segment.send(track("ann", "Cohort Entered", "1"))
    assert [event.event for event in sandbox.segment.journeys(WRITE_KEY_DEFAULT)["ann"]] == ["Cohort Entered"]


def test_a_cohort_is_compared_with_what_segment_believes(sandbox: Sandbox, segment: Any) -> None:
    """Equal where exactly the members are believed; else missing and surplus are counted."""
    segment.send(*(identify(user_id) for user_id in ("ann", "bob", "007")))
    path = "/sandbox/compare?cohort_id=26umsb5"
    assert get(sandbox, path).json()["equal"] is True

    segment.send(identify("ann", value=False), identify("cat"), identify("dan"))
    held = get(sandbox, path).json()
    assert (held["equal"], held["missing"], held["surplus"], held["members"], held["believed"]) == (
        False,
        1,
        2,
        3,
        4,
    )
    assert get(sandbox, path + "&write_key=segment_emea").json()["missing"] == 3
    assert get(sandbox, path + "&trait=other").json()["trait"] == "other"
    assert get(sandbox, "/sandbox/compare?cohort_id=unknown").status_code == 404


def test_churn_and_rename_change_the_cohort(sandbox: Sandbox) -> None:
    """The page's two buttons move members and give a new name."""
    churned = post(sandbox, "/sandbox/cohorts/26umsb5/churn", enter=5, exit=2).json()
    renamed = post(sandbox, "/sandbox/cohorts/26umsb5/rename", name="Renamed").json()

    assert (churned["entered"], churned["exited"], churned["members"]) == (5, 2, 6)
    assert renamed["name"] == sandbox.amplitude.cohorts["26umsb5"].name == "Renamed"
    assert len(sandbox.amplitude.cohorts["26umsb5"].user_ids) == 6


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/sandbox/cohorts/unknown/churn", {"enter": 1}, 404),
        ("/sandbox/cohorts/26umsb5/churn", {"exit": 4}, 400),
        ("/sandbox/cohorts/26umsb5/churn", {"enter": "5"}, 400),
        ("/sandbox/cohorts/26umsb5/churn", {"enter": -1}, 400),
        ("/sandbox/cohorts/26umsb5/rename", {"name": " "}, 400),
        ("/sandbox/cohorts/26umsb5/rename", {}, 400),
    ],
)
def test_a_wrong_wish_changes_nothing(sandbox: Sandbox, path: str, asked: dict[str, Any], status: int) -> None:
    """What cannot be done is answered with the reason, and the cohort stays."""
    assert post(sandbox, path, **asked).status_code == status
    assert sandbox.amplitude.cohorts["26umsb5"].user_ids == ["ann", "bob", "007"]
    assert sandbox.amplitude.cohorts["26umsb5"].name == "Power users"


def test_reset_goes_back_to_the_beginning(sandbox: Sandbox, segment: Any, amplitude: Any) -> None:
    """After a reset the cohorts are the first ones, without exports and messages."""
    segment.send(identify("ann"))
    amplitude.request()
    sandbox.amplitude.cohorts["26umsb5"].user_ids.append("cat")
    sandbox.amplitude.cohorts["26umsb5"].name = "Renamed"

    assert post(sandbox, "/sandbox/reset").json() == {"reset": True}
    assert sandbox.amplitude.cohorts["26umsb5"].user_ids == ["ann", "bob", "007"]
    assert sandbox.amplitude.cohorts["26umsb5"].name == "Power users"
    assert (sandbox.amplitude.exports_spent, sandbox.amplitude.used_this_month) == (0, 0)
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()
    assert sandbox.segment.batches == []
