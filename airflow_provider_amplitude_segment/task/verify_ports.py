"""Open the clients and the ledger store of a verification, and close them after it."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.system_clock import SystemClock, SystemRandomSource
from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning
from airflow_provider_amplitude_segment.core.engine.database import Engine
from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis, VerifyPorts
from airflow_provider_amplitude_segment.core.verification.profile_requests import REQUESTS_PER_SECOND
from airflow_provider_amplitude_segment.core.verification.request_pacer import RequestPacer
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.connection.endpoint import read_endpoint
from airflow_provider_amplitude_segment.hooks.connection.field import setting
from airflow_provider_amplitude_segment.hooks.public_api import find_api_connection
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.hooks.segment_api import HOSTS, OTHER_HOSTS, SegmentApiHook
from airflow_provider_amplitude_segment.task.parameters import read_connection_ids, read_object
from airflow_provider_amplitude_segment.task.ports import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.task.verify_settings import VerifyParameters

log = logging.getLogger(__name__)


@contextmanager
def open_verify_ports(operator: VerifyParameters, scratch: Path) -> Iterator[VerifyPorts]:
    """Open the clients that can say what Segment has, and the ledger store.

    Connections that lead to the same destination are verified once, under the first one's name.

    :raises SettingError: a connection is incomplete, or names no Public API connection.
    """
    with ExitStack() as stack:
        clock, stop = operator.clock or SystemClock(), threading.Event()
        pacer = RequestPacer(REQUESTS_PER_SECOND, clock, stop)
        integrations = read_object("integrations", operator.integrations)
        apis: dict[Destination, SegmentApis] = {}
        for segment_conn_id in read_connection_ids(operator.segment_conn_id):
            hook = SegmentHook(segment_conn_id)
            destination = hook.describe().with_integrations(integrations)
            if any(known.name == destination.name for known in apis):
                log.info("%s leads to a destination that is verified already", segment_conn_id)
                continue
            apis[destination] = _open_apis(stack, hook, pacer)
        stack.enter_context(vendor_logs_at_warning())
        engine = Engine(scratch)
        stack.callback(engine.close)
        yield VerifyPorts(
            apis=apis,
            store=open_store(operator.state_path),
            clock=clock,
            random_source=SystemRandomSource(),
            stop=stop,
            pacer=pacer,
            scratch=scratch,
            engine=engine,
        )


def _open_apis(stack: ExitStack, hook: SegmentHook, pacer: RequestPacer) -> SegmentApis:
    """Open the clients of the connection that ``api_conn_id`` names."""
    api_conn_id = hook.get_api_conn_id()
    if api_conn_id is None:
        takes = "the ID of a connection of type segmentapi, whose token says what Segment has"
        field = setting(hook.segment_conn_id, "Public API connection ID")
        raise SettingError(field, "it is missing, and a verification needs it", takes)
    api_hook = SegmentApiHook(api_conn_id)
    connection = find_api_connection(api_hook, hook.segment_conn_id)
    region = read_endpoint(connection, HOSTS, OTHER_HOSTS).known_region
    public = api_hook.get_conn()
    stack.callback(public.close)
    profile = api_hook.get_profile_client(pacer.before_request)
    if profile is None:
        log.info("%s: connection %s has no space, so no user is asked for", hook.segment_conn_id, api_conn_id)
    else:
        stack.callback(profile.close)
    return SegmentApis(api_conn_id, public, profile, region)
