"""The stand-in Public API responds as Segment's documents and SDKs say, of what the Tracking API took in."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Fault,
    SandboxDestination,
    SandboxSource,
)

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

TRAIT = "Power users (26umsb5)"


def get(sandbox: Sandbox, path: str, query: Any = "", token: str | None = None) -> requests.Response:
    headers = {"Authorization": f"Bearer {token or sandbox.segment.public_api.token}"}
    return requests.get(f"{sandbox.url}/public-api{path}", params=query, headers=headers, timeout=20)


def data(sandbox: Sandbox, path: str, query: Any = "") -> dict[str, Any]:
    response = get(sandbox, path, query)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()["data"]
    return content


def identify(user_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": user_id, "traits": {TRAIT: True}, **fields}


def as_text(time: float) -> str:
    return datetime.fromtimestamp(time, tz=UTC).isoformat()


def counts(sandbox: Sandbox, step: str, clock: Any, **query: Any) -> dict[str, Any]:
    span = {"startTime": as_text(clock.now - 600), "endTime": as_text(clock.now + 60), "granularity": "MINUTE"}
    source_id = sandbox.segment.sources[WRITE_KEY_DEFAULT].source_id
    return data(sandbox, f"/delivery-overview/{step}", {"sourceId": source_id, **span, **query})


def test_the_token_opens_one_workspace(sandbox: Sandbox) -> None:
    expected = {"id": "sbxWorkspace000000001", "slug": "sandbox", "name": "Sandbox"}

    assert data(sandbox, "/") == data(sandbox, "") == {"workspace": expected}
    assert get(sandbox, "/", token="other").status_code == 401
    assert requests.get(f"{sandbox.url}/public-api/sources", timeout=20).status_code == 401
    assert get(sandbox, "/nothing").json()["errors"][0]["status"] == 404
    sandbox.segment.public_api.forbidden = True
    assert get(sandbox, "/").status_code == 403


def test_sources_have_their_write_keys_if_the_token_may_see_them(sandbox: Sandbox) -> None:
    sandbox.segment.sources[WRITE_KEY_EMEA].enabled = False
    listed = data(sandbox, "/sources")["sources"]

    shown = [(source["slug"], source["enabled"], source["writeKeys"]) for source in listed]
    assert shown == [("segment_default", True, [WRITE_KEY_DEFAULT]), ("segment_emea", False, [WRITE_KEY_EMEA])]
    sandbox.segment.public_api.sees_write_keys = False
    assert [source["writeKeys"] for source in data(sandbox, "/sources")["sources"]] == [[], []]


@pytest.mark.parametrize(
    ("path", "versions"),
    [("/", ["v1", "v1beta", "v1alpha"]), ("/delivery-overview/other", ["v1beta", "v1alpha"]), ("/spaces", ["v1alpha"])],
)
def test_a_call_of_another_version_than_accept_names_is_refused(
    sandbox: Sandbox, path: str, versions: list[str]
) -> None:
    headers = {"Authorization": f"Bearer {sandbox.segment.public_api.token}"}
    refusing = []
    for version in ("v1", "v1beta", "v1alpha"):
        accept = {"Accept": f"application/vnd.segment.{version}+json"}
        response = requests.get(f"{sandbox.url}/public-api{path}", headers={**headers, **accept}, timeout=20)
        if response.status_code == 406:
            assert response.json()["errors"][0]["type"] == "not-acceptable"
            refusing.append(version)

    assert refusing == [version for version in ("v1", "v1beta", "v1alpha") if version not in versions]


def test_a_source_without_a_write_key_is_listed(sandbox: Sandbox) -> None:
    sandbox.segment.add_source(SandboxSource("crm", "salesforce", kind_id="2baks93n"))
    listed = data(sandbox, "/sources")["sources"][-1]

    assert (listed["slug"], listed["writeKeys"], listed["metadata"]["id"]) == ("salesforce", [], "2baks93n")
    sandbox.reset()
    assert len(data(sandbox, "/sources")["sources"]) == 2


@pytest.mark.parametrize(
    "form",
    [
        lambda count, cursor: {"pagination.count": count, "pagination.cursor": cursor},
        lambda count, cursor: {"pagination[count]": count, "pagination[cursor]": cursor},
        lambda count, cursor: {"pagination": f'{{"cursor": "{cursor}", "count": {count}}}'},
    ],
    ids=["dotted", "brackets", "json"],
)
def test_each_official_client_pages_through_the_sources(sandbox: Sandbox, form: Any) -> None:
    for number in range(5):
        sandbox.segment.add_source(SandboxSource(f"s{number}", f"source-{number}", write_keys=[f"key-{number}-long"]))
    slugs, cursor = [], ""
    while cursor is not None:
        page = data(sandbox, "/sources", form(3, cursor))
        slugs += [source["slug"] for source in page["sources"]]
        cursor = page["pagination"].get("next")

    assert slugs == ["segment_default", "segment_emea", *(f"source-{number}" for number in range(5))]


@pytest.mark.parametrize("query", ["pagination.count=0", "pagination.count=1001", "pagination.cursor=%21"])
def test_a_wrong_page_is_422(sandbox: Sandbox, query: str) -> None:
    assert get(sandbox, "/sources", query).status_code == 422


def test_a_source_has_its_plan_its_settings_and_its_destinations(sandbox: Sandbox) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    path = f"/sources/{source.source_id}"
    assert data(sandbox, path)["trackingPlanId"] is None
    assert data(sandbox, path + "/settings")["settings"]["identify"]["allowUnplannedTraits"] is True

    source.tracking_plan_id, source.planned_traits, source.mode = "tp_1", {"email"}, "OMIT_TRAITS"
    source.destinations.append(SandboxDestination("Braze", "braze", "dst1", enabled=False))
    assert data(sandbox, path)["trackingPlanId"] == "tp_1"
    assert data(sandbox, path)["source"]["slug"] == "segment_default"
    assert data(sandbox, path + "/settings")["settings"]["identify"] == {
        "allowUnplannedTraits": False,
        "allowTraitsOnViolations": False,
        "commonEventOnViolations": "OMIT_TRAITS",
    }
    (destination,) = data(sandbox, path + "/connected-destinations")["destinations"]
    assert (destination["metadata"]["name"], destination["enabled"]) == ("Braze", False)
    rules = {rule["type"]: rule for rule in data(sandbox, "/tracking-plans/tp_1/rules")["rules"]}
    assert set(rules["IDENTIFY"]["jsonSchema"]["properties"]["traits"]["properties"]) == {"email"}


@pytest.mark.parametrize(
    "path",
    [
        "/sources/unknown",
        "/sources/unknown/settings",
        "/sources/unknown/connected-destinations",
        "/tracking-plans/unknown/rules",
        "/delivery-overview/unknown",
    ],
)
def test_what_does_not_exist_is_404(sandbox: Sandbox, path: str) -> None:
    assert get(sandbox, path).status_code == 404


def test_all_suppressed_users_are_listed_page_by_page(sandbox: Sandbox) -> None:
    sandbox.segment.suppressed |= {f"user-{number}" for number in range(7)}
    first = data(sandbox, "/suppressions", "pagination.count=3")
    second = data(sandbox, "/suppressions", f"pagination.count=3&pagination.cursor={first['pagination']['next']}")

    listed = [user for page in (first, second) for entry in page["suppressed"] for user in entry["subjectIds"]]
    assert set(listed) == sandbox.segment.suppressed
    assert "next" not in second["pagination"]


def test_a_workspace_without_unify_has_no_space(sandbox: Sandbox) -> None:
    assert data(sandbox, "/spaces")["spaces"][0]["id"] == sandbox.segment.profile_api.space_id
    sandbox.segment.public_api.spaces = False
    assert data(sandbox, "/spaces")["spaces"] == []


def test_the_overview_counts_what_was_received_failed_and_filtered(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    sandbox.segment.suppressed.add("sue")
    sandbox.segment.loses_users.add("lou")
    segment.send(identify("ann"), identify("lou"), identify("sue"), identify(""), identify("ann", messageId="m1"))
    segment.send(identify("ann", messageId="m1"), {"type": "track", "event": "Bought", "userId": "ann"})
    source.tracking_plan_id, source.mode = "tp_1", "BLOCK"
    segment.send(identify("bob"))

    received = counts(sandbox, "successfully-received", clock, groupBy="eventType")
    assert [(entry["eventType"], entry["total"]) for entry in received["dataset"]] == [("identify", 4), ("track", 1)]
    assert received["total"] == 5
    failed = counts(sandbox, "failed-on-ingest", clock, groupBy="discardReason")
    assert [(entry["discardReason"], entry["total"]) for entry in failed["dataset"]] == [("id_not_string", 1)]
    filtered = counts(sandbox, "filtered-at-source", clock, groupBy="discardReason")
    assert [(entry["discardReason"], entry["total"]) for entry in filtered["dataset"]] == [("schema_violation", 1)]


def test_a_disabled_source_fails_all_on_ingest(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].enabled = False
    segment.send(identify("ann"))

    assert counts(sandbox, "successfully-received", clock)["dataset"] == []
    assert counts(sandbox, "failed-on-ingest", clock, groupBy="discardReason")["total"] == 1


def test_the_overview_is_by_minute(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    clock.now = clock.now // 3600 * 3600 + 10
    segment.send(identify("ann"))
    clock.pass_by(50)
    segment.send(identify("ann"), identify("bob"))

    (entry,) = counts(sandbox, "successfully-received", clock)["dataset"]
    assert [point["count"] for point in entry["series"]] == [1, 2]
    assert entry["series"][1]["time"] == as_text(clock.now).replace("+00:00", "Z")
    before = counts(sandbox, "successfully-received", clock, endTime=as_text(clock.now))
    assert before["total"] == 1
    (hour,) = counts(sandbox, "successfully-received", clock, granularity="hour")["dataset"]
    assert [point["count"] for point in hour["series"]] == [3]


@pytest.mark.parametrize(
    "query",
    [
        {"filter": '{"appVersion": ["7"]}'},
        {"filter.appVersion.0": "7"},
        {"filter[appVersion][0]": "7", "groupBy[0]": "eventType"},
        {"filter.appVersion.0": "7", "groupBy": ["eventType", "appVersion"]},
    ],
)
def test_the_overview_of_one_plan_is_that_of_its_app_version(
    sandbox: Sandbox, segment: Any, clock: Any, query: dict[str, Any]
) -> None:
    segment.send(identify("ann"), identify("bob"), context={"app": {"version": "7"}})
    segment.send(identify("cat"), context={"app": {"version": "8"}})

    assert counts(sandbox, "successfully-received", clock, **query)["total"] == 2


def test_counts_may_come_later(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    sandbox.segment.public_api.counts_delay_seconds = 30
    segment.send(identify("ann"))

    assert counts(sandbox, "successfully-received", clock)["total"] == 0
    clock.pass_by(30)
    assert counts(sandbox, "successfully-received", clock)["total"] == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"granularity": "SECOND"},
        {"startTime": "soon"},
        {"groupBy": "discardReason"},
        {"filter": '{"discardReason": ["unplanned"]}'},
        {"sourceId": ""},
        {"startTime": as_text(0), "endTime": as_text(3600)},
        {"endTime": as_text(1_795_000_000 + 4 * 3600)},
        {"endTime": as_text(1_795_000_000 - 600)},
    ],
)
def test_a_wrong_question_to_the_overview_is_422(sandbox: Sandbox, clock: Any, wrong: dict[str, Any]) -> None:
    source_id = sandbox.segment.sources[WRITE_KEY_DEFAULT].source_id
    span = {"startTime": as_text(clock.now - 600), "endTime": as_text(clock.now), "granularity": "MINUTE"}
    response = get(sandbox, "/delivery-overview/successfully-received", {"sourceId": source_id, **span, **wrong})

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"]


def test_a_destination_got_what_was_not_filtered(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.destinations.append(SandboxDestination("Braze", "braze", "dst1"))
    segment.send(identify("ann"))

    assert counts(sandbox, "successful-delivery", clock, destinationConfigId="dst1")["total"] == 1
    assert counts(sandbox, "failed-delivery", clock, destinationConfigId="dst1")["total"] == 0
    span = {"startTime": as_text(clock.now - 600), "endTime": as_text(clock.now), "granularity": "MINUTE"}
    unknown = {"sourceId": source.source_id, "destinationConfigId": "other", **span}
    assert get(sandbox, "/delivery-overview/successful-delivery", unknown).status_code == 404


def test_the_event_volume_counts_valid_events_of_all_sources(sandbox: Sandbox, segment: Any, clock: Any) -> None:
    segment.send(identify("ann"), identify(""))
    segment.send(identify("ann"), identify("bob"), write_key=WRITE_KEY_EMEA)
    segment.send(identify("ann"), write_key="a-key-of-no-source")
    span = {"startTime": as_text(clock.now - 60), "endTime": as_text(clock.now + 60), "granularity": "MINUTE"}

    volume = data(sandbox, "/events/volume", {**span, "groupBy": "source,eventType"})
    assert [(entry["source"]["slug"], entry["total"]) for entry in volume["result"]] == [
        ("segment_emea", 2),
        ("segment_default", 1),
    ]
    source_id = sandbox.segment.sources[WRITE_KEY_DEFAULT].source_id
    of_one = data(sandbox, "/events/volume", {**span, "sourceId.0": source_id, "eventType": "identify"})
    assert [entry["total"] for entry in of_one["result"]] == [1]
    assert of_one["path"] == "/events/volume"


def test_too_many_requests_are_429_until_the_minute_has_passed(sandbox: Sandbox, clock: Any) -> None:
    sandbox.segment.public_api.requests_per_minute = 2
    allowed = get(sandbox, "/")
    clock.pass_by(20)
    get(sandbox, "/")
    refused = get(sandbox, "/")

    assert allowed.headers["X-RateLimit-Consumed"] == "1"
    assert allowed.headers["X-RateLimit-Remaining"] == "1"
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "40")
    assert parsedate_to_datetime(refused.headers["X-RateLimit-Reset"]).timestamp() == clock.now + 40
    assert refused.json()["errors"][0]["data"]["msBeforeNext"] == 40_000
    clock.pass_by(40)
    assert get(sandbox, "/").status_code == 200


def test_a_fault_may_concern_the_whole_api_or_one_part(sandbox: Sandbox) -> None:
    sandbox.faults.add(
        Fault(on="segment.suppressions", status=503),
        Fault(on="segment.overview", status=403),
        Fault(on="segment.public", status=429, headers={"Retry-After": "1"}),
    )

    assert get(sandbox, "/suppressions").status_code == 503
    assert get(sandbox, "/delivery-overview/failed-on-ingest").status_code == 403
    assert get(sandbox, "/sources").status_code == 429
    assert get(sandbox, "/sources").status_code == 200
