"""Whole syncs to a source that demands OAuth: no user is lost or marked when a token, a key or an application fails."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.clock import FakeClock
from fakes.oauth_segment import APP_ID, KEY_ID, WRITE_KEY, OAuthSegment, private_key, public_key_of
from fakes.recording_server import CannedResponse
from fakes.task_instance import FakeTaskInstance

from airflow_provider_amplitude_segment.exceptions import (
    RejectedUsersError,
    SegmentOAuthError,
    SegmentRefusedError,
    SegmentUnavailableError,
    SettingError,
)
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fakes.task_instance import Sync

    from airflow_provider_amplitude_segment.sandbox import Sandbox

FEW = [f"user-{number:04d}" for number in range(40)]
TRAIT = "Power Users (c1)"
USERS = [f"user-{number:04d}" for number in range(400)]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def segment(sandbox: Sandbox, connect: Callable[..., None], clock: FakeClock) -> Iterator[OAuthSegment]:
    """A cohort of 400 users, and a connection to a source that demands OAuth."""
    sandbox.amplitude.cohorts["c1"].user_ids = USERS
    with OAuthSegment(clock.now) as server:
        connect(**server.connection())
        yield server


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def make(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMENT_DEFAULT", json.dumps(fields))

    return make


@pytest.fixture
def deliver(sync: Sync, clock: FakeClock) -> Callable[..., dict[str, Any]]:
    """Sync in batches of ten users, eight a second, by the fake clock; return the destination's report.

    One sender, because each that waits lets the time pass for all.
    """

    def run(**parameters: Any) -> dict[str, Any]:
        parameters = {"events_per_second": 80, "max_concurrent_requests": 1, **parameters}
        report = sync(FakeTaskInstance(run_id="first"), clock=clock, **parameters)
        (destination,) = report["destinations"]
        return dict(destination)

    return run


def bodies(segment: OAuthSegment) -> list[dict[str, Any]]:
    return [json.loads(came.body) for came in segment.came if came.path == "/v1/batch"]


def test_a_source_that_demands_oauth_gets_every_user_over_several_senders_by_one_token(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    destination = deliver(max_concurrent_requests=8)

    assert (destination["acknowledged"], destination["committed"]) == (len(USERS), True)
    assert segment.users == {*USERS}
    assert segment.token_requests == 1
    assert len(bodies(segment)) >= 40
    assert all(body["writeKey"] == WRITE_KEY for body in bodies(segment))
    assert all(came.headers["authorization"].startswith("Bearer ") for came in segment.came if came.path != "/token")


def test_a_connection_without_an_application_is_refused_by_that_source_with_the_word_oauth(
    segment: OAuthSegment, connect: Callable[..., None], deliver: Callable[..., dict[str, Any]]
) -> None:
    connect(**{**segment.connection(), "extra": {}})

    with pytest.raises(AirflowFailException, match="whether the source demands OAuth") as failed:
        deliver()

    assert isinstance(failed.value.__cause__, SegmentRefusedError)


def test_tokens_that_end_in_the_middle_of_a_delivery_are_replaced_and_nothing_is_retried(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.life = 2

    destination = deliver()

    assert (destination["acknowledged"], destination["retries"]) == (len(USERS), 0)
    assert 4 <= segment.token_requests <= 6


@pytest.mark.parametrize("status", [400, 401, 403, 511])
def test_a_token_that_segment_drops_in_the_middle_of_a_delivery_marks_no_user(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]], status: int
) -> None:
    take, batches = segment._take, 0

    def drop(came: Any) -> CannedResponse:
        nonlocal batches
        batches += 1
        if batches == 5:
            segment.drop_tokens()
        response = take(came)
        return CannedResponse(status) if response.status == 401 else response

    segment._take = drop  # type: ignore[method-assign]

    destination = deliver()

    assert (destination["acknowledged"], destination["rejected"]) == (len(USERS), 0)
    assert segment.users == {*USERS}
    assert segment.token_requests == 2


def test_a_poisoned_user_is_found_although_each_400_may_be_about_the_token(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.poisoned = {"user-0123"}

    destination = deliver(on_rejected="warn")

    assert (destination["acknowledged"], destination["rejected"]) == (len(USERS) - 1, 1)
    assert segment.token_requests == 1


@pytest.mark.parametrize(
    ("status", "poisoned"),
    [
        *((400, user) for user in ("user-0000", "user-0003", "user-0195", "user-0399")),
        *((status, "user-0003") for status in (401, 403, 511)),
    ],
)
def test_tokens_that_end_at_200_users_mark_no_user_but_the_poisoned_one(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]], status: int, poisoned: str
) -> None:
    segment.poisoned, segment.refused_status = {poisoned}, status
    take, dropped = segment._take, False

    def drop(came: Any) -> CannedResponse:
        nonlocal dropped
        if len(segment.users) >= 200 and not dropped:
            dropped = True
            segment.drop_tokens()
        return take(came)

    segment._take = drop  # type: ignore[method-assign]

    destination = deliver(on_rejected="warn")

    assert (destination["acknowledged"], destination["rejected"]) == (len(USERS) - 1, 1)
    assert segment.users == {*USERS} - {poisoned}
    assert segment.token_requests <= 3


def test_users_that_get_400_before_the_token_works_are_not_marked(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    """A new token may take a moment to be known everywhere."""
    segment.batch_script = [CannedResponse(400)] * 12

    destination = deliver()

    assert (destination["acknowledged"], destination["rejected"]) == (len(USERS), 0)
    assert segment.users == {*USERS}


def test_a_source_that_refuses_every_message_of_a_small_plan_with_400_marks_nobody(
    sandbox: Sandbox, segment: OAuthSegment, sync: Sync, clock: FakeClock
) -> None:
    """Its key is proved, and 50 changes are too few to blame the key for."""
    sync(FakeTaskInstance(run_id="first"), clock=clock)
    sandbox.amplitude.cohorts["c1"].user_ids = USERS[:350]
    segment.batch_script = [CannedResponse(400, body=b'{"success": false, "message": "invalid token"}')] * 999
    with pytest.raises(AirflowFailException, match="refuses the OAuth application") as failed:
        sync(FakeTaskInstance(run_id="second"), clock=clock, on_rejected="warn")
    error = failed.value.__cause__
    assert isinstance(error, SegmentOAuthError)
    assert (error.status, error.pending, error.is_of_source) == (400, 50, True)

    segment.batch_script = []
    (destination,) = sync(FakeTaskInstance(run_id="second"), clock=clock)["destinations"]

    assert (destination["acknowledged"], destination["rejected"], destination["pending"]) == (50, 0, 0)


@pytest.mark.parametrize("ahead", [3_600.0, -3_600.0])
def test_a_worker_whose_clock_is_an_hour_off_syncs(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]], ahead: float
) -> None:
    segment.ahead = ahead

    assert deliver()["acknowledged"] == len(USERS)
    assert segment.token_requests == 2


@pytest.mark.parametrize("key", ["not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "public"])
def test_a_key_that_is_no_key_spends_no_export_and_is_not_retried(
    sandbox: Sandbox,
    segment: OAuthSegment,
    connect: Callable[..., None],
    deliver: Callable[..., dict[str, Any]],
    key: str,
) -> None:
    key = public_key_of(private_key()) if key == "public" else key
    connect(**segment.connection(oauth_private_key=key))

    with pytest.raises(AirflowFailException, match="field 'OAuth private key'") as failed:
        deliver()

    assert isinstance(failed.value.__cause__, SettingError)
    assert key not in str(failed.value)
    assert sandbox.amplitude.exports_spent == 0
    assert segment.came == []


def test_an_application_that_is_revoked_from_the_start_sends_nothing_and_the_next_try_resumes(
    sandbox: Sandbox, segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.revoked = True
    with pytest.raises(
        AirflowFailException, match=r"refuses the OAuth application .*\(HTTP 401: invalid_client\)"
    ) as failed:
        deliver()
    error = failed.value.__cause__
    assert isinstance(error, SegmentOAuthError)
    assert (error.pending, error.is_of_source) == (len(USERS), False)
    assert "eyJ" not in f"{failed.value} {vars(error)}"
    assert bodies(segment) == []

    segment.revoked = False
    destination = deliver()

    assert (destination["acknowledged"], destination["rejected"], destination["committed"]) == (len(USERS), 0, True)
    assert sandbox.amplitude.exports_spent == 1


def test_an_application_that_is_revoked_in_the_middle_loses_and_marks_no_user(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    take = segment._take

    def revoke(came: Any) -> CannedResponse:
        if len(segment.users) >= 100:
            segment.revoked = True
            segment.drop_tokens()
        return take(came)

    segment._take = revoke  # type: ignore[method-assign]
    with pytest.raises(AirflowFailException) as failed:
        deliver(max_concurrent_requests=4)
    assert isinstance(failed.value.__cause__, SegmentOAuthError)
    first = {*segment.users}
    assert 100 <= len(first) < len(USERS)

    segment._take, segment.revoked = take, False  # type: ignore[method-assign]
    destination = deliver()

    assert (destination["acknowledged"], destination["rejected"]) == (len(USERS), 0)
    assert segment.users == {*USERS}
    resumed = [message["userId"] for body in bodies(segment) for message in body["batch"]]
    assert len(resumed) <= len(USERS) + 2 * 4 * 10


def test_a_source_that_refuses_new_tokens_is_named_and_marks_no_user(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.batch_script = [CannedResponse(403)] * 99

    with pytest.raises(AirflowFailException, match="connected to the source") as failed:
        deliver()

    error = failed.value.__cause__
    assert isinstance(error, SegmentOAuthError)
    assert (error.status, error.pending, error.is_of_source) == (403, len(USERS), True)
    assert segment.token_requests == 2


def test_a_token_endpoint_that_stays_down_is_left_to_airflows_retry(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.token_script = [CannedResponse(503)] * 99
    said = r"waited for an access token in vain \(the token endpoint responds with HTTP 503; retries are spent\)"
    with pytest.raises(SegmentUnavailableError, match=said) as failed:
        deliver()
    assert (failed.value.pending, failed.value.is_posted) == (len(USERS), False)
    assert "oauth_host" in str(failed.value)
    assert all(words not in str(failed.value) for words in ("no response", "events_per_second"))
    assert bodies(segment) == []

    segment.token_script = []
    assert deliver()["acknowledged"] == len(USERS)


def test_a_token_endpoint_that_is_down_for_a_moment_delays_the_sync_only(
    segment: OAuthSegment, deliver: Callable[..., dict[str, Any]]
) -> None:
    segment.token_script = [CannedResponse(503), CannedResponse(429, {"Retry-After": "7"}), CannedResponse(raw=b"")]

    assert deliver()["acknowledged"] == len(USERS)
    assert not any("x-retry-count" in came.headers for came in segment.came)


def test_bodies_of_long_messages_stay_under_the_limit_with_the_write_key_in_them(
    sandbox: Sandbox, segment: OAuthSegment, sync: Sync, connect: Callable[..., None]
) -> None:
    """The key is longer than a message, so without its bytes each full batch would be over the limit."""
    connect(**{**segment.connection(), "password": "k" * 3_000})
    segment.write_key = "k" * 3_000
    sandbox.amplitude.cohorts["c1"].user_ids = [f"{number:04d}{'x' * 600}" for number in range(2_000)]

    sync(events_per_second=None)

    sizes = [len(came.body) for came in segment.came if came.path == "/v1/batch"]
    assert 472_000 < max(sizes) <= 475_000


@pytest.fixture
def demanding(sandbox: Sandbox, connect: Callable[..., None]) -> Sandbox:
    """The sandbox, whose default source demands OAuth, and a connection with an application of it."""
    sandbox.amplitude.cohorts["c1"].user_ids = FEW
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True
    # One key for all tests, because Airflow's masker keeps each one that it was given.
    sandbox.segment.oauth.add_app(APP_ID, KEY_ID, public_key_of(private_key()))
    connection = json.loads(sandbox.airflow_connections()["AIRFLOW_CONN_SEGMENT_DEFAULT"])
    extra = {"oauth_app_id": APP_ID, "oauth_key_id": KEY_ID, "oauth_private_key": private_key()}
    connect(**{**connection, "extra": {**connection.get("extra", {}), **extra, "oauth_host": f"{sandbox.url}/oauth2"}})
    return sandbox


def believed(sandbox: Sandbox) -> set[str]:
    return set(sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT))


@pytest.mark.parametrize("ahead", [0.0, 3_600.0, -3_600.0])
def test_the_sandboxs_source_that_demands_oauth_believes_every_user_whatever_the_workers_clock_says(
    demanding: Sandbox, sync: Sync, ahead: float
) -> None:
    demanding.segment.oauth.clock_ahead_seconds = ahead

    report = sync(events_per_second=None, max_concurrent_requests=8)

    assert report["destinations"][0]["committed"]
    assert believed(demanding) == {*FEW}
    assert demanding.segment.oauth.tokens_issued == 1


def test_the_sandboxs_revoked_tokens_are_replaced(demanding: Sandbox, sync: Sync) -> None:
    sync(events_per_second=None)
    demanding.segment.oauth.revoke()
    demanding.amplitude.cohorts["c1"].user_ids = FEW[:30]
    sync(FakeTaskInstance(run_id="second"), events_per_second=None)

    assert believed(demanding) == {*FEW[:30]}


def test_the_sandboxs_unknown_application_marks_no_user_and_the_next_try_resumes(
    demanding: Sandbox, sync: Sync, connect: Callable[..., None]
) -> None:
    known = json.loads(os.environ["AIRFLOW_CONN_SEGMENT_DEFAULT"])
    connect(**{**known, "extra": {**known["extra"], "oauth_key_id": "another"}})
    with pytest.raises(AirflowFailException, match="HTTP 401: invalid_client"):
        sync(events_per_second=None)
    assert believed(demanding) == set()

    connect(**known)
    sync(events_per_second=None)

    assert believed(demanding) == {*FEW}
    assert demanding.amplitude.exports_spent == 1


def test_a_poisoned_user_at_the_sandbox_is_the_only_one_that_is_missing(demanding: Sandbox, sync: Sync) -> None:
    demanding.segment.poisoned = {FEW[7]}
    demanding.faults.add(Fault(on="segment.token", status=503))

    with pytest.raises(AirflowFailException) as failed:
        sync(events_per_second=None)

    assert isinstance(failed.value.__cause__, RejectedUsersError)
    assert believed(demanding) == {*FEW} - {FEW[7]}
    assert demanding.segment.oauth.tokens_issued == 2
