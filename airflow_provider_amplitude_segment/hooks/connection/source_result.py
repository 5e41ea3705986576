"""The texts of the Test button of a write key whose connection names the Public API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.segment_api.source_check import ProvedSource, UnknownSource
from airflow_provider_amplitude_segment.exceptions import SourceDisabledError
from airflow_provider_amplitude_segment.hooks.connection.test_result import APPLICATION_NOT_PROVED

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.segment_api.source_check import Checked
    from airflow_provider_amplitude_segment.exceptions import SettingError, WriteKeyError
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint
    from airflow_provider_amplitude_segment.hooks.connection.test_result import Verdict


def api_unusable(error: SettingError) -> Verdict:
    """Return why the Public API's connection cannot be used, with its ID, which is not the tested connection's.

    >>> from airflow_provider_amplitude_segment.exceptions import SettingError
    >>> api_unusable(SettingError("connection 'api', field 'Token'", "it is missing or blank", "the token"))
    (False, "Not tested: connection 'api', field 'Token': it is missing or blank. It takes the token.")
    """
    return False, f"Not tested: {error.setting}: {error.problem}. It takes {error.takes}."


def source_result(
    endpoint: Endpoint,
    api_conn_id: str,
    checked: Checked,
    reached: Verdict,
    debugger: str | None,
    *,
    has_oauth: bool = False,
) -> Verdict:
    """Return what the Public API says of the write key.

    :param endpoint: of the tested connection
    :param api_conn_id: the connection that was asked
    :param checked: what it says of the key
    :param reached: the result without it, which stays where the key is neither proved nor refuted
    :param debugger: URL of the source's debugger; ``None`` where it is not known
    :param has_oauth: whether an access token was issued for the test
    """
    if isinstance(checked, ProvedSource):
        said = _proved(endpoint, api_conn_id, checked)
        said += f" {APPLICATION_NOT_PROVED}" if has_oauth else ""
        return True, f"{said} Its debugger: {debugger}" if debugger else said
    if isinstance(checked, UnknownSource):
        passed, said = reached
        return passed, f"{said} Connection {api_conn_id!r} does not prove the key: {checked.reason}. {checked.advice}"
    if isinstance(checked, SourceDisabledError):
        return False, (
            f"Right key, but its source {checked.source!r} in workspace {checked.workspace!r} is disabled, so Segment "
            "drops every message. Enable it in its settings in Segment, or use the write key of an enabled source."
        )
    return False, _refuted(endpoint, checked)


def _proved(endpoint: Endpoint, api_conn_id: str, proved: ProvedSource) -> str:
    region = endpoint.known_region or "not known, because Host is none of Segment's"
    said = (
        f"Works: the write key is that of source {proved.source.slug!r} in workspace {proved.workspace.slug!r}, and "
        f"the source is enabled (proved by connection {api_conn_id!r}; data region: {region})."
    )
    if proved.rules is not None and proved.rules.drops_unplanned_traits:
        said += " The source drops traits that its tracking plan does not have: add the trait of each cohort to it."
    return said


def _refuted(endpoint: Endpoint, error: WriteKeyError) -> str:
    if error.region:
        return (
            f"Wrong region: the write key is one of workspace {error.workspace!r} in the region {error.region}, and "
            f"{endpoint.base_url} is not there. Choose {error.region} as Data region, and clear Host."
        )
    return (
        f"Wrong write key: it belongs to no source of workspace {error.workspace!r}, which connection "
        f"{error.api_conn_id!r} opens. Copy the write key of a source of this workspace, or name the connection of the "
        "workspace that has the key as Public API connection ID."
    )
