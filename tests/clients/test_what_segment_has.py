"""What was sent to one API of the sandbox is read back from the two others, which follow Segment's documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from clients.test_profile_api import profile_client
from clients.test_segment_api import Tried
from requests.auth import HTTPBasicAuth

from airflow_provider_amplitude_segment.clients.segment import SegmentClient
from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.ledger.stream import key_fingerprint
from airflow_provider_amplitude_segment.core.segment_api.identify_counts import IdentifyCounts
from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAbsent, TraitAbsent, TraitFound
from airflow_provider_amplitude_segment.core.segment_api.workspace import ConnectedDestination, IdentifyRules, Space
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
)
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Fault,
    Sandbox,
    SandboxDestination,
    SandboxSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient

HOST = "api.segment.io"
TRAIT = "Power Users (26umsb5)"
NOW = 1_795_000_020.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Run a sandbox at one moment."""
    with Sandbox.start(clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def public(sandbox: Sandbox) -> Tried:
    """Return a client of the workspace."""
    return public_client(sandbox)


def public_client(sandbox: Sandbox, token: str | None = None) -> Tried:
    """Return a client of the workspace with this token."""
    return Tried(f"{sandbox.url}/public-api", token=token or sandbox.segment.public_api.token)


@pytest.fixture
def profiles(sandbox: Sandbox) -> ProfileApiClient:
    """Return a client of the space."""
    return space_client(sandbox)


def space_client(sandbox: Sandbox, **options: Any) -> ProfileApiClient:
    """Return a client of the space."""
    space = sandbox.segment.profile_api
    return profile_client(f"{sandbox.url}/profile-api", **{"token": space.token, "space_id": space.space_id, **options})


def send(sandbox: Sandbox, values: dict[str, Any], trait: str = TRAIT, *, write_key: str = WRITE_KEY_DEFAULT) -> None:
    """Post one identify a user."""
    session = requests.Session()
    session.auth = HTTPBasicAuth(write_key, "")
    batch = [
        {"type": "identify", "userId": user, "traits": {trait: value}, "messageId": f"m-{user}-{value}"}
        for user, value in values.items()
    ]
    assert SegmentClient(session, sandbox.url, 5).post_batch(json.dumps({"batch": batch}).encode()) == Acknowledged()


def test_a_write_key_is_found_among_the_sources_of_all_pages(sandbox: Sandbox, public: Tried) -> None:
    for number in range(400):
        sandbox.segment.add_source(
            SandboxSource(f"id-{number}", f"s{number}", write_keys=[f"other-write-key-{number}"])
        )
    sandbox.segment.add_source(SandboxSource("last", "last", write_keys=["last-write-key"], enabled=False))
    (found,) = [s for s in public.api.sources(HOST) if key_fingerprint(HOST, "last-write-key") in s.keys]
    assert (found.source_id, found.enabled) == ("last", False)
    assert next(public.api.sources(HOST)).keys == frozenset({key_fingerprint(HOST, WRITE_KEY_DEFAULT)})
    assert public.api.workspace().slug == "sandbox"


def test_a_token_without_the_permission_sees_sources_and_no_keys(sandbox: Sandbox, public: Tried) -> None:
    sandbox.segment.public_api.sees_write_keys = False
    assert {source.keys for source in public.api.sources(HOST)} == {frozenset()}


def test_a_wrong_token_and_one_without_rights_are_refused(sandbox: Sandbox, public: Tried) -> None:
    with pytest.raises(SegmentApiRefusedError, match="HTTP 401"):
        public_client(sandbox, "sgp_wrong").api.workspace()
    sandbox.segment.public_api.forbidden = True
    with pytest.raises(SegmentApiRefusedError, match="HTTP 403"):
        public.api.workspace()


@pytest.mark.parametrize("mode", ["OMIT_TRAITS", "BLOCK"])
def test_a_plan_says_which_traits_a_source_drops(sandbox: Sandbox, public: Tried, mode: Any) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    assert public.api.identify_rules(source.source_id) == IdentifyRules()
    source.tracking_plan_id, source.planned_traits = "tp_1", {"email"}
    assert public.api.identify_rules(source.source_id) == IdentifyRules("tp_1")
    source.mode = mode
    rules = public.api.identify_rules(source.source_id)
    assert rules.drops(TRAIT)
    assert not rules.drops("email")
    with pytest.raises(SegmentApiAnswerError, match="HTTP 404"):
        public.api.identify_rules("nosuch")


def test_destinations_suppressed_users_and_spaces_are_listed(sandbox: Sandbox, public: Tried) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    source.destinations = [SandboxDestination("Braze", "actions-braze", "d1", enabled=False)]
    sandbox.segment.suppressed = {f"user-{number}" for number in range(2500)}
    destinations = public.api.connected_destinations(source.source_id)
    assert destinations == (ConnectedDestination("Braze", "actions-braze", enabled=False),)
    pages = list(public.api.suppressed_users())
    assert {user for page in pages for user in page} == sandbox.segment.suppressed
    assert len(pages) == 2
    assert public.api.spaces() == (Space(sandbox.segment.profile_api.space_id, "Sandbox"),)


def test_counts_are_those_of_what_was_sent(sandbox: Sandbox, public: Tried) -> None:
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    send(sandbox, dict.fromkeys(["ann", "bob", "cyd"], True))
    send(sandbox, {"ann": True}, write_key=WRITE_KEY_EMEA)
    span = NOW - 120, NOW + 60
    counts = public.api.identify_counts(source.source_id, *span)
    assert counts == IdentifyCounts(3, {}, {}, NOW - 120, NOW + 60)
    source.tracking_plan_id, source.mode = "tp_1", "BLOCK"
    send(sandbox, {"dan": True})
    assert sum((public.api.identify_counts(source.source_id, *span).filtered or {}).values()) == 1


def test_the_volume_is_what_is_known_of_a_span_that_the_overview_does_not_have(sandbox: Sandbox, public: Tried) -> None:
    """Minutes of more than two days ago, or a workspace without the overview."""
    source = sandbox.segment.sources[WRITE_KEY_DEFAULT]
    send(sandbox, dict.fromkeys(["ann", "bob"], True))
    sandbox.faults.add(Fault(on="segment.overview", status=404))
    counts = public.api.identify_counts(source.source_id, NOW - 60, NOW + 1)
    assert (counts.received, counts.failed, counts.filtered) == (2, None, None)


def test_a_rate_limit_is_waited_out_and_a_fault_too(sandbox: Sandbox, public: Tried) -> None:
    sandbox.faults.add(Fault(on="segment.public", status=503), Fault(on="segment.public", reset=True))
    assert public.api.workspace().slug == "sandbox"
    assert public.waits == [1.0, 2.0]
    sandbox.segment.public_api.requests_per_minute = 1
    with pytest.raises(SegmentApiUnavailableError, match="HTTP 429") as caught:
        public.api.workspace()
    assert caught.value.retry_after_seconds == 60.0
    assert public.waits[2:] == [60.0, 60.0, 60.0, 60.0]


IDS = ["+49301234567", "a/b", "100%", "100%25", "a b", "ánn@exämple.com", "用户", "a?b#c&d=e", "..", "user:1", "a\nb"]


def test_a_trait_is_read_back_as_it_was_sent(sandbox: Sandbox, profiles: ProfileApiClient) -> None:
    """Of any user ID."""
    send(sandbox, {user: number % 2 == 0 for number, user in enumerate(IDS)})
    assert [profiles.trait(user, TRAIT) for user in IDS] == [TraitFound(number % 2 == 0) for number in range(len(IDS))]
    assert profiles.trait("nobody", TRAIT) == ProfileAbsent()
    assert profiles.trait("a/b", "Other") == TraitAbsent()


def test_a_trait_with_a_comma_is_read_back_among_many(sandbox: Sandbox, profiles: ProfileApiClient) -> None:
    for number in range(230):
        send(sandbox, {"ann": number}, f"a trait {number:03}")
    send(sandbox, {"ann": True}, "Paris, Texas (c1)")
    assert profiles.trait("ann", "Paris, Texas (c1)") == TraitFound(value=True)
    assert profiles.trait("ann", "a trait 229") == TraitFound(229)


def test_an_id_with_capitals_is_found_in_lower_case(sandbox: Sandbox, profiles: ProfileApiClient) -> None:
    send(sandbox, {"Ann": True, "cyd": True})
    assert profiles.trait("Ann", TRAIT) == TraitFound(value=True)
    sandbox.segment.profile_api.merge("Ann", "cyd")
    assert set(profiles.user_ids("Ann")) == {"ann", "cyd"}  # type: ignore[arg-type]


def test_a_wrong_token_an_unknown_space_and_a_missing_profile_are_three_things(sandbox: Sandbox) -> None:
    with pytest.raises(SegmentApiRefusedError):
        space_client(sandbox, token="wrong").trait("ann", TRAIT)
    with pytest.raises(SegmentApiAnswerError, match="check the space ID"):
        space_client(sandbox, space_id="nosuch").trait("ann", TRAIT)
    assert space_client(sandbox).trait("ann", TRAIT) == ProfileAbsent()


def test_a_rate_limit_and_a_fault_of_the_profile_api_are_the_callers(
    sandbox: Sandbox, profiles: ProfileApiClient
) -> None:
    sandbox.faults.add(Fault(on="segment.profile", status=500), Fault(on="segment.profile", cut_after_bytes=5))
    assert profiles.trait("ann", TRAIT) == RetryLater(500)
    assert profiles.trait("ann", TRAIT) == RetryLater(None, None, "the response was cut off")
    sandbox.segment.profile_api.requests_per_second = 2  # one of them was the one that was cut
    assert [profiles.trait("ann", TRAIT) for _ in range(2)] == [ProfileAbsent(), RetryLater(429)]
