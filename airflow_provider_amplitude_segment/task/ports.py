"""Open the clients and the ledger store of a sync or a retirement, and close them after it."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import conf

from airflow_provider_amplitude_segment import __version__
from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock, SystemRandomSource
from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning
from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.engine.database import Engine
from airflow_provider_amplitude_segment.core.ports import SyncPorts
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.cohort_files import open_cohort_files
from airflow_provider_amplitude_segment.hooks.public_api import open_public_api
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.task.parameters import read_connection_id, read_connection_ids, read_folder
from airflow_provider_amplitude_segment.task.state_path import is_local_to_worker, state_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_amplitude_segment.clients.segment import SegmentClient
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
    from airflow_provider_amplitude_segment.core.settings import SyncSettings
    from airflow_provider_amplitude_segment.task.settings import DestinationParameters, SyncParameters

log = logging.getLogger(__name__)


@contextmanager
def open_sync_ports(operator: SyncParameters, settings: SyncSettings, scratch: Path) -> Iterator[SyncPorts]:
    """Open Amplitude's client and the delivery ports, and close the clients on leaving.

    :raises SettingError: a connection is incomplete.
    """
    with ExitStack() as stack:
        amplitude_conn_id = read_connection_id("amplitude_conn_id", operator.amplitude_conn_id)
        hook = AmplitudeHook(amplitude_conn_id)
        if operator.clock is not None:
            hook.sleep = partial(operator.clock.wait, until=threading.Event())
        amplitude = hook.get_conn()
        stack.callback(amplitude.close)
        place = read_folder("cohort_files", operator.cohort_files)
        folder = None if place is None else open_cohort_files(place)
        delivery = stack.enter_context(open_delivery_ports(operator, settings, scratch))
        yield SyncPorts(amplitude, delivery, folder)


@contextmanager
def open_delivery_ports(
    operator: DestinationParameters, settings: SyncSettings, scratch: Path
) -> Iterator[DeliveryPorts]:
    """Open the ports that delivery needs: a Segment client for each destination, Public API clients, the ledger store.

    Connections that lead to the same destination share one client, under the first one's name.

    :raises SettingError: a connection is incomplete.
    """
    with ExitStack() as stack:
        segment_clients: dict[Destination, SegmentClient] = {}
        public_apis: dict[str, PublicApiAccess] = {}
        clock = operator.clock or SystemClock()
        for segment_conn_id in read_connection_ids(operator.segment_conn_id):
            hook = SegmentHook(segment_conn_id)
            hook.clock = operator.clock
            destination = _destination(hook, settings)
            same = next((d for d in segment_clients if d.name == destination.name), None)
            if same is not None:
                log.info("%s and %s lead to one destination: it is synced once", same.segment_conn_id, segment_conn_id)
                continue
            client = hook.get_conn()
            stack.callback(client.close)
            segment_clients[destination] = client
            if api_conn_id := hook.get_api_conn_id():
                # One client for each connection, however many destinations name it.
                opened = next((each for each in public_apis.values() if each.conn_id == api_conn_id), None)
                access = opened or stack.enter_context(open_public_api(api_conn_id, segment_conn_id, clock.monotonic))
                public_apis[destination.name] = access
        stack.enter_context(vendor_logs_at_warning())
        engine = Engine(scratch, destinations=len(segment_clients), is_wide=bool(settings.user_properties))
        stack.callback(engine.close)
        yield DeliveryPorts(
            segment_clients=segment_clients,
            store=open_store(operator.state_path),
            clock=clock,
            random_source=SystemRandomSource(),
            stop=threading.Event(),
            scratch=scratch,
            engine=engine,
            integration={"name": "airflow-provider-amplitude-segment", "version": __version__},
            public_apis=public_apis,
        )


def open_store(state_path: object) -> LedgerStore:
    """Return the store of the ledgers; log a warning where other workers cannot reach it."""
    place = state_place(state_path)
    executors = conf.get("core", "executor", fallback="")
    if is_local_to_worker(place, executors):
        log.warning(
            "The ledger is in %s, on this machine's own disk. %s may run the next sync on another machine, which "
            "would find no state. Set state_path, or [amplitude_segment] state_path, to a place that every worker can "
            "write, such as s3://aws_default@my-bucket/amplitude-segment.",
            place,
            executors,
        )
    return LedgerStore(open_state_root(place))


def _destination(hook: SegmentHook, settings: SyncSettings) -> Destination:
    return hook.describe().with_integrations(settings.integrations)
