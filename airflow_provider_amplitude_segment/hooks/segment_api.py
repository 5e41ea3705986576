"""An Airflow connection to Segment's Public API and Profile API in, a client of each out."""

from __future__ import annotations

import time
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_amplitude_segment.core.segment_api.retries import NO_RETRIES, RETRIES
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit
from airflow_provider_amplitude_segment.exceptions import SegmentApiError, SettingError
from airflow_provider_amplitude_segment.hooks.connection import api_test_result, test_result
from airflow_provider_amplitude_segment.hooks.connection.endpoint import find_connection, read_endpoint, secret, text
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.connection.form import form_behaviour, form_widgets
from airflow_provider_amplitude_segment.hooks.connection.host import HostField

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient
    from airflow_provider_amplitude_segment.clients.segment_api import SegmentApiClient
    from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
    from airflow_provider_amplitude_segment.core.segment_api.workspace import Space
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

# https://github.com/segmentio/public-api-sdk-typescript, README, configureApis and configureEuApis.
HOSTS = {"US": "https://api.segmentapis.com", "EU": "https://eu1.api.segmentapis.com"}

# https://www.twilio.com/docs/segment/unify/profile-api; the EU's is the only host of Segment with euw1.
PROFILE_HOSTS = {"US": "https://profiles.segment.com", "EU": "https://profiles.euw1.segment.com"}

_SHARED_HOSTS = {
    **dict.fromkeys(
        ("app.segment.com", "eu1.app.segment.com", "segment.com"), "Segment's web application, not its API"
    ),
    "docs.segmentapis.com": "the documents of Segment's Public API, not the API",
    # https://www.twilio.com/docs/segment/api/config-api
    "platform.segmentapis.com": "Segment's Config API, which the Public API has replaced",
    "profiles.eu1.segment.com": f"not a host of Segment; the EU's Profile API is {PROFILE_HOSTS['EU']}",
}
_TRACKING_HOSTS = ("api.segment.io", "events.eu1.segmentapis.com")

# Hosts of Segment that people paste by mistake.
OTHER_HOSTS = {
    **_SHARED_HOSTS,
    **dict.fromkeys(_TRACKING_HOSTS, "Segment's Tracking API, not its Public API"),
    **dict.fromkeys(
        ("profiles.segment.com", "profiles.euw1.segment.com"),
        "Segment's Profile API, not its Public API; it belongs into Profile API host",
    ),
}
OTHER_PROFILE_HOSTS = {
    **_SHARED_HOSTS,
    **dict.fromkeys(_TRACKING_HOSTS, "Segment's Tracking API, not its Profile API"),
    **dict.fromkeys(
        ("api.segmentapis.com", "eu1.api.segmentapis.com"),
        "Segment's Public API, not its Profile API; it belongs into Host",
    ),
}

_SPACE_ID = "Space ID"
_PROFILE_TOKEN = "Profile API token"  # noqa: S105 - the field's label
_PROFILE_HOST = "Profile API host"

# Test reads one page of them.
_SOURCES_READ = 200

# Of all requests of one press of Test.
_TEST_SECONDS = 30.0

# In lower case, as the Profile API wants it, and the ID of no user.
_NO_USER = "airflow-provider-amplitude-segment-connection-test"


class SegmentApiHook(BaseHook):
    """Read what a Segment workspace has, by its Public API, and what a space of it has, by the Profile API.

    The connection holds the Public API token (password), and in Extra ``region`` (US or EU) and ``timeout`` in
    seconds; for the Profile API ``space_id`` and ``profile_api_token``. A host, and ``profile_host`` in Extra,
    override the region's. ``verify``, ``cert``, ``proxies`` and ``trust_env`` mean what they mean in an HTTP
    connection. White space around a token is dropped. Nothing in Segment is ever changed.

    :param segment_api_conn_id: the connection's ID
    :param retries: how the client of the Public API waits out transient responses
    :param limit: of that client's requests together
    """

    conn_name_attr: ClassVar[str] = "segment_api_conn_id"
    default_conn_name: ClassVar[str] = "segment_api_default"
    conn_type: ClassVar[str] = "segmentapi"
    hook_name: ClassVar[str] = "Segment (Public API)"

    def __init__(
        self,
        segment_api_conn_id: str = default_conn_name,
        *,
        retries: RetryPolicy = RETRIES,
        limit: TimeLimit | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.segment_api_conn_id = segment_api_conn_id
        self.retries = retries
        self.limit = limit
        self._client: SegmentApiClient | None = None

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the form's fields of Extra; later Airflow takes them from the provider's metadata."""
        return form_widgets("segmentapi")

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return which fields the form hides, and the labels of the others."""
        return form_behaviour("segmentapi")

    def get_conn(self) -> SegmentApiClient:
        """Return the client of the Public API, the same one each time; its session is kept open.

        :raises SettingError: a field is missing or cannot be used; names the connection and the field
        """
        if self._client is None:
            self._client = self._make_client(self.retries, self.limit)
        return self._client

    def _make_client(self, retries: RetryPolicy, limit: TimeLimit | None) -> SegmentApiClient:
        # Imported here, so that Airflow parses a DAG file with this hook without an HTTP library.
        from airflow_provider_amplitude_segment.clients.public_request import Waiting  # noqa: PLC0415
        from airflow_provider_amplitude_segment.clients.segment_api import SegmentApiClient  # noqa: PLC0415
        from airflow_provider_amplitude_segment.hooks.connection import session as connection_session  # noqa: PLC0415

        connection = find_connection(self, self.segment_api_conn_id)
        token = _token(self.segment_api_conn_id, "Public API token", connection.password)
        endpoint = self._endpoint(connection)
        session = connection_session.open_session(endpoint, connection_session.sign_with_bearer(token))
        connection_session.warn_where_exposed(endpoint)
        return SegmentApiClient(
            session,
            endpoint.base_url,
            endpoint.timeout_seconds,
            conn_id=self.segment_api_conn_id,
            retries=retries,
            waiting=Waiting(limit=limit),
        )

    def get_profile_client(
        self, before_request: Callable[[], object] | None = None, *, limit: TimeLimit | None = None
    ) -> ProfileApiClient | None:
        """Return a client of the Profile API, a new one each time; ``None`` where the connection has no space.

        :param before_request: called before each request, to keep to a rate
        :param limit: of the requests together
        :raises SettingError: a field is missing or cannot be used; names the connection and the field
        """
        from airflow_provider_amplitude_segment.clients.profile_api import ProfileApiClient  # noqa: PLC0415
        from airflow_provider_amplitude_segment.hooks.connection import session as connection_session  # noqa: PLC0415

        conn_id = self.segment_api_conn_id
        connection = find_connection(self, conn_id)
        space_id, profile_token = text(connection, "space_id"), text(connection, "profile_api_token")
        if space_id is None and profile_token is None:
            return None
        if space_id is None:
            takes = "the ID of the space whose token the connection has, or no value in both fields"
            raise SettingError(setting(conn_id, _SPACE_ID), "it is missing or blank", takes)
        token = _token(conn_id, _PROFILE_TOKEN, profile_token)
        endpoint = self._profile_endpoint(connection)
        session = connection_session.open_session(endpoint, connection_session.sign_with(token))
        connection_session.warn_where_exposed(endpoint)
        return ProfileApiClient(
            session,
            endpoint.base_url,
            space_id,
            endpoint.timeout_seconds,
            conn_id=conn_id,
            before_request=before_request or _at_once,
            limit=limit,
        )

    def _endpoint(self, connection: Any) -> Endpoint:
        return read_endpoint(connection, HOSTS, OTHER_HOSTS)

    def _profile_endpoint(self, connection: Any) -> Endpoint:
        host = HostField(_PROFILE_HOST, text(connection, "profile_host"))
        region = self._endpoint(connection).region
        return read_endpoint(connection, PROFILE_HOSTS, OTHER_PROFILE_HOSTS, host=host, region=region)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether both tokens work, and the text for the form: the workspace, its write keys, the space."""
        limit = TimeLimit(time.monotonic)
        limit.begin(_TEST_SECONDS)
        try:
            connection = find_connection(self, self.segment_api_conn_id)
            endpoint = self._endpoint(connection)
            client = self._make_client(NO_RETRIES, limit)
            profiles = self.get_profile_client(limit=limit)
        except SettingError as error:
            return test_result.unusable(error)
        with closing(client):
            try:
                workspace = client.workspace()
            except SegmentApiError as error:
                overridden = bool((connection.host or "").strip())
                return api_test_result.public_api_failed(endpoint, error, overridden=overridden)
            except TimeoutError:
                return api_test_result.public_api_slow(endpoint)
            works, keys = _find_keys(client)
            if profiles is None:
                return api_test_result.verdict(endpoint, workspace, keys, api_test_result.NO_SPACE, works=works)
            with closing(profiles):
                responds, space = _find_space(client, profiles)
        return api_test_result.verdict(endpoint, workspace, keys, space, works=works and responds)


def _find_keys(client: SegmentApiClient) -> tuple[bool, str]:
    try:
        sources = list(islice(client.sources(""), _SOURCES_READ))
    except SegmentApiError as error:
        return False, api_test_result.sources_failed(error)
    except TimeoutError:
        return False, api_test_result.SOURCES_SLOW
    keyed = [source for source in sources if source.keys or source.hides_keys]
    return True, api_test_result.write_keys(len(keyed), sum(source.hides_keys for source in keyed))


def _find_space(client: SegmentApiClient, profiles: ProfileApiClient) -> tuple[bool, str]:
    """Ask for a profile that no space has, because only a space that exists can say that it is missing."""
    try:
        answer = profiles.trait(_NO_USER, _NO_USER)
    except SegmentApiError as error:
        return False, api_test_result.space_failed(profiles.base_url, profiles.space_id, error, _spaces(client))
    except TimeoutError:
        return False, api_test_result.profile_api_slow(profiles.base_url)
    return api_test_result.space_responded(profiles.base_url, profiles.space_id, answer)


def _spaces(client: SegmentApiClient) -> Sequence[Space]:
    """Return the spaces of the workspace, where the Public API lists them."""
    try:
        return client.spaces()
    except (SegmentApiError, TimeoutError):
        return ()


def _token(conn_id: str, label: str, value: str | None) -> str:
    token = secret(conn_id, label, value)
    mask_secret(token)
    if not token.isascii() or not token.isprintable() or " " in token:
        # An HTTP header cannot have it, and the library's error would quote it.
        raise SettingError(
            setting(conn_id, label), "it has a character that no token has", "the token as it was issued"
        )
    return token


def _at_once() -> None:
    """Let a request go at once."""
