"""An Airflow connection to an Amplitude project in, a client out."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_amplitude_segment.core.export.cohort import select_cohorts
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    AmplitudeUnavailableError,
    AmplitudeUnreachableError,
    SettingError,
)
from airflow_provider_amplitude_segment.hooks.connection import test_result
from airflow_provider_amplitude_segment.hooks.connection.endpoint import find_connection, read_endpoint, secret, text
from airflow_provider_amplitude_segment.hooks.connection.form import form_behaviour, form_widgets
from airflow_provider_amplitude_segment.hooks.connection.web_urls import cohort_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
    from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint

# https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Regions".
HOSTS = {"US": "https://amplitude.com", "EU": "https://analytics.eu.amplitude.com"}

# Hosts of Amplitude that people paste by mistake, from the browser's address bar or an SDK's settings.
_WEB_APPLICATION = "Amplitude's web application, not its API"
_EVENTS = "Amplitude's API for events, not the one for cohorts"
OTHER_HOSTS = {
    "analytics.amplitude.com": _WEB_APPLICATION,
    "app.amplitude.com": _WEB_APPLICATION,
    "app.eu.amplitude.com": _WEB_APPLICATION,
    # https://amplitude.com/docs/apis/analytics/http-v2
    "api2.amplitude.com": _EVENTS,
    "api.eu.amplitude.com": _EVENTS,
}


class AmplitudeHook(BaseHook):
    """Reach one Amplitude project.

    The connection holds the API key (login), the secret key (password), and in Extra ``region`` (US or EU),
    ``org_url`` for links and ``timeout`` in seconds; ``verify``, ``cert``, ``proxies`` and ``trust_env`` mean
    what they mean in an HTTP connection. A host overrides the region's. White space around a key is dropped.

    :param amplitude_conn_id: the connection's ID
    """

    conn_name_attr: ClassVar[str] = "amplitude_conn_id"
    default_conn_name: ClassVar[str] = "amplitude_default"
    conn_type: ClassVar[str] = "amplitude"
    hook_name: ClassVar[str] = "Amplitude"

    def __init__(self, amplitude_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.amplitude_conn_id = amplitude_conn_id
        self.sleep: Callable[[float], object] = time.sleep
        self._client: AmplitudeClient | None = None

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the form's fields of Extra; later Airflow takes them from the provider's metadata."""
        return form_widgets("amplitude")

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return which fields the form hides, and the labels of the others."""
        return form_behaviour("amplitude")

    def get_conn(self) -> AmplitudeClient:
        """Return the client of this connection, the same one each time; its sessions are kept open.

        :raises SettingError: a field is missing or cannot be used; names the connection and the field
        """
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _make_client(self) -> AmplitudeClient:
        # Imported here, so that Airflow parses a DAG file with this hook without an HTTP library.
        from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient  # noqa: PLC0415
        from airflow_provider_amplitude_segment.hooks.connection import session as connection_session  # noqa: PLC0415

        connection = find_connection(self, self.amplitude_conn_id)
        api_key = secret(self.amplitude_conn_id, "API key", connection.login)
        secret_key = secret(self.amplitude_conn_id, "Secret key", connection.password)
        mask_secret(api_key)
        mask_secret(secret_key)
        endpoint = self._endpoint(connection)
        connection_session.warn_where_exposed(endpoint)
        session = connection_session.open_session(endpoint, connection_session.sign_with(api_key, secret_key))
        # Storage gets neither the keys nor the client certificate.
        storage_session = connection_session.open_session(replace(endpoint, cert=None), connection_session.sign_nothing)
        return AmplitudeClient(session, storage_session, endpoint.base_url, endpoint.timeout_seconds, sleep=self.sleep)

    def _endpoint(self, connection: Any) -> Endpoint:
        return read_endpoint(connection, HOSTS, OTHER_HOSTS)

    def list_cohorts(
        self, name: str | None = None, *, owner: str | None = None, include_archived: bool = False
    ) -> list[Cohort]:
        """Return the cohorts that can be synced: discoverable, of users, and not archived.

        :param name: the whole name, in any case, ``*`` for any text and ``?`` for any character (``Power*``,
            or ``*churn*`` for a part of a name); ``None`` for all
        :param owner: one of the cohort's owners, mostly an e-mail address, in the same way (``*@example.com``);
            ``None`` and ``*`` for all, also cohorts without an owner
        :param include_archived: also archived cohorts
        :raises AmplitudeError: Amplitude did not return the list
        """
        cohorts = self.get_conn().list_cohorts()
        return select_cohorts(cohorts, name, owner=owner, include_archived=include_archived)

    def map_cohorts(
        self, name: str | None = None, *, owner: str | None = None, include_archived: bool = False
    ) -> list[dict[str, Any]]:
        """Return the argument of an operator's ``expand_kwargs``: a dictionary for each cohort of ``list_cohorts``.

        Each sets ``cohort_id``, and the task's own Param ``cohort_label``, the name with the ID, so that
        ``map_index_template="{{ params.cohort_label }}"`` shows it. A task may return the list, which holds only text.
        """
        cohorts = self.list_cohorts(name, owner=owner, include_archived=include_archived)
        return [{"cohort_id": cohort.cohort_id, "params": {"cohort_label": cohort.label}} for cohort in cohorts]

    def get_org_url(self) -> str | None:
        """Return the connection's ``org_url``, for links; ``None`` where it is not set."""
        return text(find_connection(self, self.amplitude_conn_id), "org_url")

    def get_cohort_url(self, cohort_id: str) -> str | None:
        """Return the URL of a cohort's page in Amplitude; ``None`` without a usable ``org_url``.

        :param cohort_id: Amplitude's cohort ID; no request checks that the cohort exists
        :raises SettingError: the connection's region is not one of US and EU
        """
        organization = self.get_org_url()
        return cohort_url(organization, self.get_region(), cohort_id) if organization else None

    def get_region(self) -> str:
        """Return the connection's data region, ``US`` or ``EU``.

        :raises SettingError: it is another region
        """
        return self._endpoint(find_connection(self, self.amplitude_conn_id)).region

    def test_connection(self) -> tuple[bool, str]:
        """List the cohorts once, which proves both keys; return whether it worked, and the text for the form."""
        try:
            connection = find_connection(self, self.amplitude_conn_id)
            endpoint = self._endpoint(connection)
            client = self.get_conn()
        except SettingError as error:
            return test_result.unusable(error)
        try:
            with closing(client):
                return test_result.amplitude_works(endpoint, len(client.list_cohorts(retries=0)))
        except AmplitudeCredentialsError as error:
            overridden = bool((connection.host or "").strip())
            return test_result.amplitude_refused(endpoint, error.status, overridden=overridden)
        except (AmplitudeUnavailableError, AmplitudeUnreachableError) as error:
            return test_result.amplitude_unavailable(endpoint, error)
        except AmplitudeAnswerError as error:
            return test_result.not_amplitude(endpoint, error.status)
