"""An Airflow connection to a Segment source in, a client out."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_amplitude_segment.core.http.base_url import normal_host
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, key_fingerprint, source_name
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection import test_result
from airflow_provider_amplitude_segment.hooks.connection.endpoint import (
    extra,
    find_connection,
    read_endpoint,
    secret,
    text,
)
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.connection.form import form_behaviour, form_widgets
from airflow_provider_amplitude_segment.hooks.connection.oauth import open_oauth
from airflow_provider_amplitude_segment.hooks.connection.web_urls import debugger_url, slug_in

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.segment import SegmentClient
    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

# https://www.twilio.com/docs/segment/guides/regional-segment: where it says events.eu1, one infobox of the
# HTTP API's page says eu1.api, which is the Public API's host.
HOSTS = {"US": "https://api.segment.io", "EU": "https://events.eu1.segmentapis.com"}

# Hosts of Segment that people paste by mistake, from the browser's address bar or other settings.
_WEB_APPLICATION = "Segment's web application, not its API"
_PUBLIC_API = "Segment's Public API, not its Tracking API"
_PROFILE_API = "Segment's Profile API, not its Tracking API"
OTHER_HOSTS = {
    "app.segment.com": _WEB_APPLICATION,
    "eu1.app.segment.com": _WEB_APPLICATION,
    "segment.com": _WEB_APPLICATION,
    # https://docs.segmentapis.com
    "api.segmentapis.com": _PUBLIC_API,
    "eu1.api.segmentapis.com": _PUBLIC_API,
    # https://www.twilio.com/docs/segment/unify/profile-api
    "profiles.segment.com": _PROFILE_API,
    "profiles.euw1.segment.com": _PROFILE_API,
}


# Positions in a page's path, https://app.segment.com/<workspace>/sources/<source>.
_WORKSPACE_STEP, _SOURCE_STEP = 0, 2


class SegmentHook(BaseHook):
    """Reach one Segment source.

    The connection holds the write key (password), and in Extra ``region`` (US or EU), ``workspace``,
    ``source``, ``destination_id``, ``api_conn_id`` and ``timeout`` in seconds; ``verify``, ``cert``, ``proxies`` and
    ``trust_env`` mean what they mean in an HTTP connection. A host overrides the region's. White space around
    the key is dropped.

    A connection of type ``segment``, made for Airflow's own Segment provider, works as well: its write key is
    in Extra, as ``write_key``.

    With ``oauth_app_id``, ``oauth_key_id`` and ``oauth_private_key`` in Extra, batches carry an access token of
    Segment's OAuth 2.0, and the write key in their body.

    :param segment_conn_id: the connection's ID
    """

    conn_name_attr: ClassVar[str] = "segment_conn_id"
    default_conn_name: ClassVar[str] = "segment_default"
    conn_type: ClassVar[str] = "segmentio"
    hook_name: ClassVar[str] = "Segment (write key)"

    def __init__(self, segment_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segment_conn_id = segment_conn_id
        self.clock: Clock | None = None
        """What the client and its access tokens go by; ``None``: the machine's clock."""
        self._client: SegmentClient | None = None

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the form's fields of Extra; later Airflow takes them from the provider's metadata."""
        return form_widgets("segmentio")

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return which fields the form hides, and the labels of the others."""
        return form_behaviour("segmentio")

    def get_conn(self) -> SegmentClient:
        """Return the client of this connection, the same one each time; its session is kept open.

        :raises SettingError: a field is missing or cannot be used; names the connection and the field
        """
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _make_client(self) -> SegmentClient:
        # Imported here, so that Airflow parses a DAG file with this hook without an HTTP library.
        from airflow_provider_amplitude_segment.clients.segment import SegmentClient  # noqa: PLC0415
        from airflow_provider_amplitude_segment.clients.system_clock import SystemClock  # noqa: PLC0415
        from airflow_provider_amplitude_segment.hooks.connection import session as connection_session  # noqa: PLC0415

        connection = find_connection(self, self.segment_conn_id)
        write_key = self._write_key(connection)
        endpoint = self._endpoint(connection)
        # Never through a connection's login and password, because Airflow 2.11 turns an empty password into None,
        # requests turns that into "None", and Segment responds with 200 to a wrong key.
        signs = connection_session.sign_with(write_key)
        clock = self.clock or SystemClock()
        oauth = open_oauth(connection, endpoint, write_key, clock)
        session = connection_session.open_session(endpoint, connection_session.sign_nothing if oauth else signs)
        connection_session.warn_where_exposed(endpoint)
        return SegmentClient(
            session,
            endpoint.base_url,
            endpoint.timeout_seconds,
            now=clock.now,
            monotonic=clock.monotonic,
            oauth=oauth,
        )

    def _endpoint(self, connection: Any) -> Endpoint:
        return read_endpoint(connection, HOSTS, OTHER_HOSTS)

    def _write_key(self, connection: Any) -> str:
        password = (connection.password or "").strip()
        in_extra = extra(connection).get("write_key")
        write_key = secret(
            self.segment_conn_id, "Write key", password or (in_extra if isinstance(in_extra, str) else None)
        )
        mask_secret(write_key)
        return write_key

    def describe(self) -> Destination:
        """Return the source as the ledger and the report know it; no request is sent.

        :raises SettingError: a field is missing or cannot be used; names the connection and the field
        """
        connection = find_connection(self, self.segment_conn_id)
        endpoint = self._endpoint(connection)
        host = normal_host(endpoint.base_url)
        write_key = self._write_key(connection)
        return Destination(
            segment_conn_id=self.segment_conn_id,
            name=_destination_id(connection) or source_name(host, write_key),
            workspace=slug_in(text(connection, "workspace"), _WORKSPACE_STEP),
            key_fingerprint=key_fingerprint(host, write_key),
            source=slug_in(text(connection, "source"), _SOURCE_STEP),
            host=host,
            region=endpoint.known_region,
        )

    def get_api_conn_id(self) -> str | None:
        """Return the ID of the Public API connection that knows this write key; ``None`` for none.

        :raises SettingError: the field is not text
        """
        return text(find_connection(self, self.segment_conn_id), "api_conn_id")

    def get_debugger_url(self, found: Destination | None = None) -> str | None:
        """Return the URL of the source's debugger; ``None`` where ``workspace`` or ``source`` is not known.

        :param found: the destination with the slugs that a sync has found; by default those of the connection count
        :raises SettingError: the connection's region is not one of US and EU
        """
        connection = find_connection(self, self.segment_conn_id)
        workspace = found.workspace if found else slug_in(text(connection, "workspace"), _WORKSPACE_STEP)
        source = found.source if found else slug_in(text(connection, "source"), _SOURCE_STEP)
        if workspace is None or source is None:
            return None
        return debugger_url(workspace, source, self._endpoint(connection).region)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the host responds, and the text for the form; only the Public API can prove a write key."""
        try:
            client = self.get_conn()
            endpoint = self._endpoint(find_connection(self, self.segment_conn_id))
            debugger = self.get_debugger_url()
            api_conn_id = self.get_api_conn_id()
        except SettingError as error:
            return test_result.unusable(error)
        is_segments = normal_host(client.base_url) in map(normal_host, HOSTS.values())
        with closing(client):
            reached = client.reach()
            # A test sends no message, and with OAuth it spends one access token.
            no_token = client.request_token()
        if not isinstance(reached, int):
            return test_result.not_reached(endpoint, client.base_url, reached.reason, reached.advice)
        if test_result.is_server_error(reached):
            return test_result.segment_broken(client.base_url, reached)
        if no_token is not None:
            return test_result.no_access_token(no_token)
        said = (
            test_result.access_token_issued(endpoint, client.base_url, debugger)
            if client.has_oauth
            else test_result.segment_reached(endpoint, client.base_url, reached, debugger, overridden=not is_segments)
        )
        return self._test_key(endpoint, api_conn_id, said, has_oauth=client.has_oauth) if api_conn_id else said

    def _test_key(
        self, endpoint: Endpoint, api_conn_id: str, reached: test_result.Verdict, *, has_oauth: bool
    ) -> test_result.Verdict:
        # Imported here for the same reason as the client.
        from airflow_provider_amplitude_segment.core.proof.write_keys import complete  # noqa: PLC0415
        from airflow_provider_amplitude_segment.core.segment_api.source_check import (  # noqa: PLC0415
            AskedKey,
            check_keys,
        )
        from airflow_provider_amplitude_segment.hooks.connection import source_result  # noqa: PLC0415
        from airflow_provider_amplitude_segment.hooks.public_api import open_public_api  # noqa: PLC0415

        tested = self.describe()
        key = AskedKey(self.segment_conn_id, tested.key_fingerprint, tested.host, tested.region)
        try:
            with open_public_api(api_conn_id, self.segment_conn_id, time.monotonic) as access:
                checked = check_keys(access, [key])[key.fingerprint]
        except SettingError as error:
            is_own = error.setting.startswith(f"connection {self.segment_conn_id!r},")
            return test_result.unusable(error) if is_own else source_result.api_unusable(error)
        debugger = self.get_debugger_url(complete(tested, checked))
        return source_result.source_result(endpoint, api_conn_id, checked, reached, debugger, has_oauth=has_oauth)


def _destination_id(connection: Any) -> str:
    """Return the connection's ``destination_id``; empty for none."""
    name = text(connection, "destination_id")
    if name and "~" in name:
        # In the ledger it separates a destination's name from its routing.
        raise SettingError(setting(connection.conn_id, "Extra destination_id"), f"got {name!r}", "text without ~")
    return name or ""
