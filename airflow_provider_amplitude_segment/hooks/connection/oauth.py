"""Read the OAuth application of a Segment connection, and where it gets access tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_amplitude_segment.core.export.download import is_safe_link
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.endpoint import extra, text
from airflow_provider_amplitude_segment.hooks.connection.field import setting

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.segment_oauth import OAuthKey, SegmentOAuth
    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

# https://www.twilio.com/docs/segment/connections/oauth; the EU host after Segment's regional documentation.
TOKEN_HOSTS = {"US": "https://oauth2.segment.io", "EU": "https://oauth2.eu1.segmentapis.com"}

APP_ID, KEY_ID, PRIVATE_KEY, HOST = "oauth_app_id", "oauth_key_id", "oauth_private_key", "oauth_host"
_LABELS = {APP_ID: "OAuth app ID", KEY_ID: "OAuth key ID", PRIVATE_KEY: "OAuth private key"}


def open_oauth(connection: Any, endpoint: Endpoint, write_key: str, clock: Clock) -> SegmentOAuth | None:
    """Return what authorizes the batches of a connection with OAuth; ``None`` where it has none.

    :param connection: its Extra has the application, and may have a host for its tokens
    :param endpoint: of the connection; its TLS settings and proxies lead to the token endpoint too
    :param write_key: of the source
    :param clock: of the client
    :raises SettingError: a field is missing or cannot be used, or a package is missing
    """
    key = read_key(connection)
    if key is None:
        return None
    # Imported here, so that a worker without OAuth needs none of it.
    from airflow_provider_amplitude_segment.clients.segment_oauth import SegmentOAuth  # noqa: PLC0415
    from airflow_provider_amplitude_segment.clients.system_clock import SystemRandomSource  # noqa: PLC0415
    from airflow_provider_amplitude_segment.hooks.connection import session as connection_session  # noqa: PLC0415

    tokens = replace(endpoint, base_url=_token_host(connection, endpoint.region))
    return SegmentOAuth(
        key,
        write_key,
        connection_session.open_session(tokens, connection_session.sign_nothing),
        tokens.base_url,
        endpoint.timeout_seconds,
        clock=clock,
        random_source=SystemRandomSource(),
    )


def read_key(connection: Any) -> OAuthKey | None:
    """Return the application of a connection, and mask its private key; ``None`` where it has no field of OAuth.

    :raises SettingError: only some of the three fields are set, or the private key is no PEM
    """
    from airflow_provider_amplitude_segment.clients.segment_oauth import OAuthKey, forms_of, read_pem  # noqa: PLC0415

    private_key = extra(connection).get(PRIVATE_KEY)
    name = setting(connection.conn_id, _LABELS[PRIVATE_KEY])
    if private_key is not None and not isinstance(private_key, str):
        raise SettingError(name, f"it is {type(private_key).__name__}, not text", "the private key as PEM")
    private_key = private_key or ""
    pem = read_pem(private_key)
    if private_key.strip():
        # One call, because on Airflow 3 each call is a message to the process that supervises the task.
        mask_secret(forms_of(private_key, pem))
    values = {APP_ID: text(connection, APP_ID), KEY_ID: text(connection, KEY_ID), PRIVATE_KEY: private_key.strip()}
    missing = [field for field, value in values.items() if not value]
    if len(missing) == len(values):
        return None
    if missing:
        present = " and ".join(_LABELS[field] for field, value in values.items() if value)
        raise SettingError(
            setting(connection.conn_id, _LABELS[missing[0]]),
            f"it is missing or blank, and {present} is not",
            "a value as the other two fields of OAuth do; or clear all three",
        )
    if pem is None:
        raise SettingError(
            name,
            "it is not a private key as PEM",
            "the whole text from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----",
        )
    return OAuthKey(str(values[APP_ID]), str(values[KEY_ID]), pem, name)


def _token_host(connection: Any, region: str) -> str:
    """Return scheme and host of the token endpoint, without a slash at its end.

    :raises SettingError: ``oauth_host`` is no host, or would carry the assertion without encryption
    """
    named = text(connection, HOST)
    if named is None:
        return TOKEN_HOSTS[region]
    url = (named if "://" in named else f"https://{named}").rstrip("/").removesuffix("/token").rstrip("/")
    if not is_safe_link(url) or "?" in url or "#" in url:
        raise SettingError(
            setting(connection.conn_id, f"Extra {HOST}"),
            "it is not a host that is reached by https",
            "no value, to use the region's host, or a host or URL of https without credentials or query; http only for "
            "a loopback host",
        )
    owner = next((other for other, host in TOKEN_HOSTS.items() if host == url), None)
    if owner not in {None, region}:
        raise SettingError(
            setting(connection.conn_id, f"Extra {HOST}"),
            f"it is the host of {owner}, and the data region is {region}",
            "no value, to use the region's host, because a token is valid in its region only",
        )
    return url
