"""The stand-in Profile API responds as Segment's documents say, of what all sources were sent."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_EMEA, Fault

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

TRAIT = "Power users (26umsb5)"


def identify(user_id: str, traits: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user_id, "traits": {TRAIT: True} if traits is None else traits, **fields}


def get(
    sandbox: Sandbox, user_id: str, query: str = "", *, part: str = "traits", space: str = "", token: str = ""
) -> requests.Response:
    api = sandbox.segment.profile_api
    path = f"/v1/spaces/{space or api.space_id}/collections/users/profiles/user_id:{quote(user_id, safe='')}/{part}"
    url = f"{sandbox.url}/profile-api{path}{query}"
    return requests.get(url, auth=(token or api.token, ""), timeout=20)


@pytest.mark.parametrize(
    "user_id", ["ann", "a+b@example.com", "a/b", "caf\u00e9 \u4e2d", "50%", "user_id:x", "line\nbreak"]
)
def test_a_profile_has_the_traits_of_a_user(sandbox: Sandbox, segment: Any, user_id: str) -> None:
    segment.send(identify(user_id))
    response = get(sandbox, user_id)

    assert response.json()["traits"] == {TRAIT: True}
    assert response.json()["cursor"]["has_more"] is False
    assert response.headers["Request-Id"]


def test_a_wrong_token_is_401_and_another_space_404(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann"))

    assert get(sandbox, "ann", token="other").status_code == 401
    assert get(sandbox, "ann", token="other").json()["error"]["code"] == "authentication_error"
    assert get(sandbox, "ann", space="spa_other").status_code == 404
    assert get(sandbox, "ann", part="events").status_code == 404
    unknown = get(sandbox, "bob")
    assert unknown.status_code == 404
    assert unknown.json() == {"error": {"code": "not_found", "message": "Profile was not found."}}


def test_the_value_written_last_wins_over_all_sources(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann", timestamp="2026-11-20T12:00:00Z"))
    segment.send(identify("ann", {TRAIT: False}, timestamp="2026-11-20T13:00:00Z"), write_key=WRITE_KEY_EMEA)
    segment.send(identify("ann", {TRAIT: True}), write_key="a-key-of-no-source")

    assert get(sandbox, "ann").json()["traits"] == {TRAIT: False}
    verbose = get(sandbox, "ann", "?verbose=true").json()["traits"][TRAIT]
    assert verbose["source_id"] == sandbox.segment.sources[WRITE_KEY_EMEA].source_id
    assert verbose["updated_at"] == "2026-11-20T13:00:00Z"


def test_a_trait_sent_as_null_is_removed_and_the_profile_stays(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann", {TRAIT: None}), identify("bob", {}))

    assert get(sandbox, "ann").json()["traits"] == {}
    assert get(sandbox, "bob").json()["traits"] == {}


def test_ten_traits_are_returned_unless_asked_otherwise(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann", {f"trait {number:02}": True for number in range(25)} | {"a, b": True}))

    first = get(sandbox, "ann").json()
    assert (len(first["traits"]), first["cursor"]["has_more"]) == (10, True)
    assert len(get(sandbox, "ann", "?limit=200").json()["traits"]) == 26
    assert get(sandbox, "ann", "?limit=201").status_code == 400
    assert list(get(sandbox, "ann", "?include=trait%2007,missing").json()["traits"]) == ["trait 07"]
    assert get(sandbox, "ann", "?include=a%2C%20b").json()["traits"] == {}
    assert get(sandbox, "ann", "?class=audience").json()["traits"] == {}


def test_the_cursor_leads_through_all_traits(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann", {f"trait {number:02}": number for number in range(25)}))
    traits, following = {}, ""
    while True:
        page = get(sandbox, "ann", f"?limit=7&next={quote(following)}").json()
        assert not page["traits"].keys() & traits.keys()
        traits |= page["traits"]
        following = page["cursor"]["next"]
        if not page["cursor"]["has_more"]:
            break

    assert list(traits.values()) == list(range(25))


def test_a_query_in_upper_case_finds_no_profile(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("Ann"))
    assert get(sandbox, "Ann").status_code == 404
    assert get(sandbox, "ann").json()["traits"] == {TRAIT: True}

    sandbox.segment.profile_api.lower_cases_ids = False
    assert get(sandbox, "Ann").json()["traits"] == {TRAIT: True}
    assert get(sandbox, "ann").status_code == 404


def test_two_ids_that_differ_in_case_only_are_one_profile(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ANN", timestamp="2026-11-20T12:00:00Z"))
    segment.send(identify("ann", {TRAIT: False}, timestamp="2026-11-20T13:00:00Z"))

    assert get(sandbox, "ann").json()["traits"] == {TRAIT: False}


def test_a_character_that_is_not_encoded_is_500(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("a+b"))
    at = urlsplit(sandbox.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=20)
    path = (
        f"/profile-api/v1/spaces/{sandbox.segment.profile_api.space_id}/collections/users/profiles/user_id:a+b/traits"
    )
    headers = requests.Request("GET", sandbox.url, auth=(sandbox.segment.profile_api.token, "")).prepare().headers
    connection.request("GET", path, headers=dict(headers))

    assert connection.getresponse().status == 500
    connection.close()
    assert get(sandbox, "a+b").status_code == 200


def test_a_profile_has_a_value_some_time_after_its_arrival(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    segment.send(identify("ann"))
    sandbox.segment.profile_delay_seconds = 60
    segment.send(identify("ann", {TRAIT: False}), identify("bob"))

    assert get(sandbox, "ann").json()["traits"] == {TRAIT: True}
    assert get(sandbox, "bob").status_code == 404
    clock.pass_by(60)
    assert get(sandbox, "ann").json()["traits"] == {TRAIT: False}
    assert get(sandbox, "bob").json()["traits"] == {TRAIT: True}


def test_merged_users_share_a_profile(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("ann", timestamp="2026-11-20T12:00:00Z"))
    segment.send(identify("bob", {TRAIT: False}, timestamp="2026-11-20T13:00:00Z"), identify("cat"))
    sandbox.segment.profile_api.merge("ann", "bob")

    assert get(sandbox, "ann").json()["traits"] == get(sandbox, "bob").json()["traits"] == {TRAIT: False}
    listed = get(sandbox, "ann", part="external_ids").json()["data"]
    assert [(entry["type"], entry["id"]) for entry in listed] == [("user_id", "ann"), ("user_id", "bob")]
    assert [entry["id"] for entry in get(sandbox, "cat", part="external_ids").json()["data"]] == ["cat"]
    assert get(sandbox, "ann", "?include=anonymous_id", part="external_ids").json()["data"] == []


def test_more_than_a_hundred_requests_a_second_are_429(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    sandbox.segment.profile_api.requests_per_second = 3
    segment.send(identify("ann"))
    assert [get(sandbox, "ann").status_code for _ in range(4)] == [200, 200, 200, 429]

    clock.pass_by(1)
    assert get(sandbox, "ann").status_code == 200
    assert len(sandbox.segment.profile_api.request_times) == 5


def test_a_fault_may_concern_profiles(sandbox: Sandbox, segment: Any) -> None:
    segment.send(identify("line\nbreak"))
    sandbox.faults.add(Fault(on="segment.profile", status=503))

    assert get(sandbox, "line\nbreak").status_code == 503
    assert get(sandbox, "line\nbreak").status_code == 200
