"""Segment's own senders reach the sandbox as they reach Segment, with a write key and with OAuth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox

if TYPE_CHECKING:
    from second_opinions.conftest import Run

    from airflow_provider_amplitude_segment.sandbox import OAuthApp

TRAIT = "Power users (26umsb5)"


def identify(node: Run, sandbox: Sandbox, *user_ids: str, app: OAuthApp | None = None) -> list[str]:
    """Send by ``@segment/analytics-node``, and return its errors."""
    oauth = app and {
        "clientId": app.app_id,
        "clientKey": app.private_key_pem,
        "keyId": app.key_id,
        "authServer": f"{sandbox.url}/oauth2",
    }
    order: dict[str, Any] = {"host": sandbox.url, "writeKey": WRITE_KEY_DEFAULT, "trait": TRAIT, "userIds": user_ids}
    errors: list[str] = node("identify.mjs", **order, oauthSettings=oauth)["errors"]
    return errors


def test_what_analytics_node_sends_is_believed(sandbox: Sandbox, node: Run) -> None:
    assert identify(node, sandbox, "ann", "bob") == []
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann", "bob"}
    assert sandbox.segment.lost == {}


def test_what_analytics_node_sends_with_oauth_is_believed(sandbox: Sandbox, node: Run) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True

    assert identify(node, sandbox, "ann", "bob", app=sandbox.segment.oauth.new_app()) == []
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann", "bob"}
    assert sandbox.segment.oauth.tokens_issued == 1


def test_analytics_node_cannot_send_without_a_token_where_one_is_demanded(sandbox: Sandbox, node: Run) -> None:
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True

    assert identify(node, sandbox, "ann") != []
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == set()


def test_analytics_node_gives_up_where_its_clock_is_an_hour_behind(sandbox: Sandbox, node: Run) -> None:
    """Each refusal of a token is final to it."""
    sandbox.segment.oauth.clock_ahead_seconds = 3600

    assert identify(node, sandbox, "ann", app=sandbox.segment.oauth.new_app()) != []
    assert sandbox.segment.oauth.tokens_issued == 0


@pytest.mark.parametrize("ahead", [0, 3600, -3600])
def test_what_the_python_library_sends_with_oauth_is_believed(sandbox: Sandbox, ahead: int) -> None:
    """It learns from the Date how far its clock is off, and asks again."""
    analytics = pytest.importorskip("segment.analytics", reason="segment-analytics-python is in the group benchmarks")
    sandbox.segment.sources[WRITE_KEY_DEFAULT].requires_oauth = True
    sandbox.segment.oauth.clock_ahead_seconds = ahead
    app = sandbox.segment.oauth.new_app()
    client = analytics.Client(
        WRITE_KEY_DEFAULT,
        host=sandbox.url,
        upload_interval=0.01,
        oauth_client_id=app.app_id,
        oauth_client_key=app.private_key_pem,
        oauth_key_id=app.key_id,
        oauth_auth_server=f"{sandbox.url}/oauth2",
    )
    client.identify("ann", {TRAIT: True})
    client.shutdown()

    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT) == {"ann"}
    assert sandbox.segment.oauth.tokens_issued == 1
