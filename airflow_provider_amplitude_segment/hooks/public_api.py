"""From ``api_conn_id`` of a Segment connection to a client of the Public API."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
from airflow_provider_amplitude_segment.core.segment_api.retries import FEW_RETRIES
from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.endpoint import find_connection, read_endpoint
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.segment_api import HOSTS, OTHER_HOSTS, SegmentApiHook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Connection


@contextmanager
def open_public_api(
    api_conn_id: str, segment_conn_id: str, monotonic: Callable[[], float]
) -> Iterator[PublicApiAccess]:
    """Open the Public API that knows a write key, with few retries, because a sync or a person waits; close it after.

    :param api_conn_id: the connection with the token
    :param segment_conn_id: the connection that names it, for an error
    :param monotonic: seconds that never go back
    :raises SettingError: there is no such connection, it is of another type, or a field of it cannot be used
    """
    limit = TimeLimit(monotonic)
    hook = SegmentApiHook(api_conn_id, retries=FEW_RETRIES, limit=limit)
    connection = find_api_connection(hook, segment_conn_id)
    region = read_endpoint(connection, HOSTS, OTHER_HOSTS).known_region
    client = hook.get_conn()
    try:
        yield PublicApiAccess(api_conn_id, region, client, limit)
    finally:
        client.close()


def find_api_connection(hook: SegmentApiHook, segment_conn_id: str) -> Connection:
    """Return the connection of a hook.

    :param hook: for the connection that ``segment_conn_id`` names
    :param segment_conn_id: for an error
    :raises SettingError: there is no such connection, or it is of another type
    """
    field, takes = setting(segment_conn_id, "Public API connection ID"), "the ID of a connection of type segmentapi"
    api_conn_id = hook.segment_api_conn_id
    try:
        connection = find_connection(hook, api_conn_id)
    except SettingError as error:
        raise SettingError(field, f"{error.setting}: {error.problem}", takes) from None
    if connection.conn_type != SegmentApiHook.conn_type:
        raise SettingError(field, f"connection {api_conn_id!r} is of type {connection.conn_type!r}", takes)
    return connection
