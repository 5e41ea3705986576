"""Segment's SDK, ``@segment/public-api-sdk-typescript``, reads the sandbox's Public API as it reads Segment's."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Sandbox,
    SandboxDestination,
    SandboxSource,
)

if TYPE_CHECKING:
    from second_opinions.conftest import Run

TRAIT = "Power users (26umsb5)"
ALL = {"count": 200}


def ask(node: Run, sandbox: Sandbox, *calls: list[Any], token: str = "") -> list[dict[str, Any]]:
    """Return what the SDK has of each call."""
    host, token = f"{sandbox.url}/public-api", token or sandbox.segment.public_api.token
    answers: list[dict[str, Any]] = node("public_api.mjs", host=host, token=token, calls=calls)
    return answers


def send(sandbox: Sandbox, *user_ids: str, version: str = "7") -> None:
    batch = [{"type": "identify", "userId": user_id, "traits": {TRAIT: True}} for user_id in user_ids]
    body = {"batch": batch, "context": {"app": {"version": version}}}
    assert requests.post(f"{sandbox.url}/v1/batch", json=body, auth=(WRITE_KEY_DEFAULT, ""), timeout=20).ok


def span() -> tuple[str, str]:
    """The minutes around now."""
    begin, end = (datetime.fromtimestamp(time.time() + shift, tz=UTC).isoformat() for shift in (-600, 120))
    return begin, end


def test_the_sdk_reads_the_workspace_and_its_sources(sandbox: Sandbox, node: Run) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.tracking_plan_id, source.planned_traits, source.mode = "tp_1", {"email"}, "OMIT_TRAITS"
    source.destinations.append(SandboxDestination("Braze", "braze", "dst1"))
    at = source.source_id
    workspace, sources, one, settings, destinations, rules = ask(
        node,
        sandbox,
        ["WorkspacesApi", "getWorkspace"],
        ["SourcesApi", "listSources", ALL],
        ["SourcesApi", "getSource", at],
        ["SourcesApi", "listSchemaSettingsInSource", at],
        ["SourcesApi", "listConnectedDestinationsFromSource", at, ALL],
        ["TrackingPlansApi", "listRulesFromTrackingPlan", "tp_1", ALL],
    )

    assert workspace["data"]["workspace"]["slug"] == "sandbox"
    assert [found["writeKeys"] for found in sources["data"]["sources"]] == [[WRITE_KEY_DEFAULT], [WRITE_KEY_EMEA]]
    assert (one["data"]["source"]["enabled"], one["data"]["trackingPlanId"]) == (True, "tp_1")
    assert settings["data"]["settings"]["identify"]["commonEventOnViolations"] == "OMIT_TRAITS"
    assert [found["metadata"]["name"] for found in destinations["data"]["destinations"]] == ["Braze"]
    assert [found["type"] for found in rules["data"]["rules"]] == ["TRACK", "IDENTIFY"]


def test_the_sdk_pages_through_sources_and_suppressed_users(sandbox: Sandbox, node: Run) -> None:
    sandbox.segment.add_source(SandboxSource("third", "third", write_keys=["a-third-write-key"]))
    sandbox.segment.suppressed |= {"ann", "bob", "cat"}
    first, suppressed = ask(
        node,
        sandbox,
        ["SourcesApi", "listSources", {"count": 2}],
        ["DeletionAndSuppressionApi", "listSuppressions", ALL],
    )
    (second,) = ask(
        node,
        sandbox,
        ["SourcesApi", "listSources", {"count": 2, "cursor": first["data"]["pagination"]["next"]}],
    )

    assert [found["slug"] for found in second["data"]["sources"]] == ["third"]
    listed = [user_id for entry in suppressed["data"]["suppressed"] for user_id in entry["subjectIds"]]
    assert sorted(listed) == ["ann", "bob", "cat"]


def test_the_sdk_counts_what_was_delivered(sandbox: Sandbox, node: Run) -> None:
    send(sandbox, "ann", "bob", "")
    send(sandbox, "cat", version="8")
    at = sandbox.segment.sources[WRITE_KEY_DEFAULT].source_id
    api, only = "DeliveryOverviewApi", {"appVersion": ["7"], "eventType": ["identify"]}
    received, failed, volume = ask(
        node,
        sandbox,
        [api, "getIngressSuccessMetricsFromDeliveryOverview", at, *span(), "MINUTE", ALL, ["eventType"], only],
        [api, "getIngressFailedMetricsFromDeliveryOverview", at, *span(), "MINUTE", ALL, ["discardReason"]],
        ["EventsApi", "getEventsVolumeFromWorkspace", "MINUTE", *span(), ["eventType"], [at], None, None, None, ALL],
    )

    assert received["data"]["total"] == 2
    assert received["data"]["dataset"][0]["eventType"] == "identify"
    assert [(found["discardReason"], found["total"]) for found in failed["data"]["dataset"]] == [("id_not_string", 1)]
    assert [(found["eventType"], found["total"]) for found in volume["data"]["result"]] == [("identify", 3)]


def test_the_sdk_reads_the_errors(sandbox: Sandbox, node: Run) -> None:
    (unknown,) = ask(node, sandbox, ["SourcesApi", "getSource", "unknown"])
    (refused,) = ask(node, sandbox, ["WorkspacesApi", "getWorkspace"], token="other")
    sandbox.segment.public_api.requests_per_minute = 0
    (limited,) = ask(node, sandbox, ["WorkspacesApi", "getWorkspace"])

    assert [found["error"]["status"] for found in (unknown, refused, limited)] == [404, 401, 429]
