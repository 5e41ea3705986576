"""The stand-in token endpoint verifies the assertion, and sources that demand OAuth take only its tokens."""

from __future__ import annotations

import json
import math
import uuid
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Fault, SandboxSegment

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import OAuthApp, Sandbox

TRAIT = "Power users (26umsb5)"


@pytest.fixture(scope="module")
def key_pair() -> OAuthApp:
    """A key pair; making one takes a moment."""
    return SandboxSegment(clock=lambda: 0.0).oauth.new_app()


@pytest.fixture
def app(sandbox: Sandbox, key_pair: OAuthApp) -> OAuthApp:
    """The key pair, registered at this sandbox."""
    sandbox.segment.oauth.add_app(key_pair.app_id, key_pair.key_id, key_pair.public_key_pem)
    return key_pair


def assertion(sandbox: Sandbox, app: OAuthApp, now: float, key_id: str = "", **claims: Any) -> str:
    claimed = {
        "iss": app.app_id,
        "sub": app.app_id,
        "aud": f"{sandbox.url}/oauth2",
        "iat": now - 5,
        "exp": now + 55,
        "jti": str(uuid.uuid4()),
        **claims,
    }
    kept = {name: value for name, value in claimed.items() if value is not ...}
    return jwt.encode(kept, app.private_key_pem, algorithm="RS256", headers={"kid": key_id or app.key_id})


def ask(sandbox: Sandbox, signed: str, **fields: str) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
        "scope": "tracking_api:write",
        **fields,
    }
    return requests.post(f"{sandbox.url}/oauth2/token", data=form, timeout=20)


def send(sandbox: Sandbox, token: str, **fields: Any) -> requests.Response:
    batch = [{"type": "identify", "userId": "ann", "traits": {TRAIT: True}}]
    headers = {"Authorization": f"Bearer {token}"}
    body = json.dumps({"batch": batch, "writeKey": WRITE_KEY_DEFAULT, **fields})
    return requests.post(f"{sandbox.url}/v1/batch", data=body, headers=headers, timeout=20)


def test_a_signed_assertion_gets_a_token_that_a_source_takes(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True
    response = ask(sandbox, assertion(sandbox, app, clock.now))
    token = response.json()

    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 86_400, "tracking_api:write")
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == clock.now
    assert send(sandbox, token["access_token"]).status_code == 200
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}
    assert [batch.write_key for batch in sandbox.segment.batches] == [WRITE_KEY_DEFAULT]


def test_a_source_that_demands_oauth_refuses_a_batch_without_a_valid_token(
    sandbox: Sandbox, segment: Any, app: OAuthApp, clock: Any
) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True
    sandbox.segment.oauth.expires_in = 100
    token = ask(sandbox, assertion(sandbox, app, clock.now)).json()["access_token"]

    assert segment.send().status_code == 401
    assert segment.send(write_key=WRITE_KEY_EMEA).status_code == 200
    assert send(sandbox, "other").status_code == 401
    assert send(sandbox, token, writeKey="").status_code == 400
    assert send(sandbox, token).status_code == 200
    clock.pass_by(100)
    assert send(sandbox, token).status_code == 401


def test_a_source_takes_the_tokens_of_the_applications_that_are_connected_to_it(
    sandbox: Sandbox, app: OAuthApp, clock: Any
) -> None:
    token = ask(sandbox, assertion(sandbox, app, clock.now)).json()["access_token"]
    sandbox.segment.sources[WRITE_KEY_EMEA].oauth_apps = {"another application"}
    refused = send(sandbox, token, writeKey=WRITE_KEY_EMEA)

    assert (refused.status_code, "not connected" in refused.json()["message"]) == (401, True)
    sandbox.segment.sources[WRITE_KEY_EMEA].oauth_apps = {"another application", app.app_id}
    assert send(sandbox, token, writeKey=WRITE_KEY_EMEA).status_code == 200
    assert send(sandbox, token).status_code == 200
    assert [batch.status for batch in sandbox.segment.batches] == [401, 200, 200]


def test_no_application_is_connected_to_a_write_key_of_no_source(
    sandbox: Sandbox, segment: Any, app: OAuthApp, clock: Any
) -> None:
    token = ask(sandbox, assertion(sandbox, app, clock.now)).json()["access_token"]

    assert send(sandbox, token, writeKey="key-of-no-source").status_code == 401
    assert segment.send(write_key="key-of-no-source").status_code == 200


def test_the_response_to_a_wrong_token_is_about_the_token(sandbox: Sandbox) -> None:
    message = send(sandbox, "other").json()["message"]

    assert "access token" in message
    assert "Basic" not in message


def test_a_revoked_token_is_refused(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    token = ask(sandbox, assertion(sandbox, app, clock.now)).json()["access_token"]
    sandbox.segment.oauth.revoke()

    assert send(sandbox, token).status_code == 401
    assert sandbox.segment.oauth.tokens_issued == 1


@pytest.mark.parametrize(
    ("claims", "description"),
    [
        ({"iat": 1_795_000_000 - 3605, "exp": 1_795_000_000 - 3545}, "Token is expired"),
        ({"iat": 1_795_000_000 + 3595, "exp": 1_795_000_000 + 3655}, "Token used before issued"),
        ({"exp": 1_795_000_000 + 56}, "more than 60 seconds"),
        ({"aud": "https://oauth2.segment.io"}, "not valid"),
        ({"jti": ...}, "not valid"),
        ({"jti": ""}, "jti"),
        ({"jti": 5}, ""),
        ({"jti": ["a"]}, ""),
        *(({name: value}, name) for name in ("iat", "exp") for value in ("abc", None, [1], {"a": 1}, True, math.inf)),
        ({"nbf": 1_795_000_000 + 500}, "Token used before issued"),
        ({"nbf": "abc"}, "nbf"),
        ({"aud": ["https://oauth2.segment.io"]}, "not valid"),
    ],
)
def test_a_wrong_assertion_is_an_invalid_request(
    sandbox: Sandbox, app: OAuthApp, clock: Any, claims: dict[str, Any], description: str
) -> None:
    response = ask(sandbox, assertion(sandbox, app, clock.now, **claims))

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"
    assert description in response.json()["error_description"]


def test_an_assertion_may_be_valid_for_the_60_seconds_that_segments_sdks_write(
    sandbox: Sandbox, app: OAuthApp, clock: Any
) -> None:
    signed = assertion(sandbox, app, clock.now, iat=clock.now - 5, exp=clock.now + 55, nbf=clock.now)

    assert ask(sandbox, signed).status_code == 200


def test_a_client_learns_from_the_date_how_far_its_clock_is_off(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    sandbox.segment.oauth.clock_ahead_seconds = 3600
    refused = ask(sandbox, assertion(sandbox, app, clock.now))
    now = parsedate_to_datetime(refused.headers["Date"]).timestamp()

    assert (now, refused.json()["error_description"]) == (clock.now + 3600, "Token is expired")
    assert ask(sandbox, assertion(sandbox, app, now)).status_code == 200


def test_the_issuer_may_be_the_authorization_server_as_the_documents_say(
    sandbox: Sandbox, app: OAuthApp, clock: Any
) -> None:
    for issuer in (f"{sandbox.url}/oauth2", ...):
        assert ask(sandbox, assertion(sandbox, app, clock.now, iss=issuer)).status_code == 200


def test_an_assertion_is_taken_once(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    signed = assertion(sandbox, app, clock.now)

    assert [ask(sandbox, signed).status_code for _ in range(2)] == [200, 400]


def test_another_app_key_or_issuer_is_an_invalid_client(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    wrong = (
        assertion(sandbox, app, clock.now, key_id="other"),
        assertion(sandbox, app, clock.now, sub="other", iss="other"),
        assertion(sandbox, app, clock.now, iss="other"),
        assertion(sandbox, app, clock.now)[:-8] + "AAAAAAAA",
    )
    for signed in wrong:
        response = ask(sandbox, signed)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"grant_type": "password"}, 400), ({"client_assertion_type": "x"}, 400), ({"scope": "other"}, 400)],
)
def test_a_wrong_form_gets_no_token(
    sandbox: Sandbox, app: OAuthApp, clock: Any, fields: dict[str, str], status: int
) -> None:
    assert ask(sandbox, assertion(sandbox, app, clock.now), **fields).status_code == status


def test_json_gets_no_token_and_a_text_that_is_no_assertion_neither(sandbox: Sandbox) -> None:
    assert requests.post(f"{sandbox.url}/oauth2/token", json={}, timeout=20).status_code == 415
    assert ask(sandbox, "no.jwt").json()["error"] == "invalid_request"


def test_a_fault_may_concern_the_token(sandbox: Sandbox, app: OAuthApp, clock: Any) -> None:
    sandbox.faults.add(Fault(on="segment.token", status=429, headers={"Retry-After": "2", "X-RateLimit-Reset": "2"}))

    assert ask(sandbox, assertion(sandbox, app, clock.now)).headers["Retry-After"] == "2"
    assert ask(sandbox, assertion(sandbox, app, clock.now)).status_code == 200


def test_an_application_has_two_keys_and_none_that_is_no_key(sandbox: Sandbox, app: OAuthApp) -> None:
    sandbox.segment.oauth.add_app(app.app_id, "second", app.public_key_pem)

    with pytest.raises(ValueError, match="at most 2"):
        sandbox.segment.oauth.add_app(app.app_id, "third", app.public_key_pem)
    with pytest.raises(ValueError, match=r"."):
        sandbox.segment.oauth.add_app("other", "key", "no key")
    assert app.private_key_pem.splitlines()[1] not in repr(app)
