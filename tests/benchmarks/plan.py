"""A plan as a sync has it when everything is decided and nothing is sent yet, in a ledger on local disk.

``python -m benchmarks.plan`` writes one. What sends it comes as a later try of the same run, so that it goes the
package's own way: it finds its run's unfinished plan and goes on with it.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.segment import Source

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock, SystemRandomSource
from airflow_provider_amplitude_segment.core.delivery.fan_out import plan_destination_syncs
from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged
from airflow_provider_amplitude_segment.core.engine.database import Engine
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run, Stream
from airflow_provider_amplitude_segment.core.membership.membership import Membership
from airflow_provider_amplitude_segment.core.plan.diff import PlanTerms
from airflow_provider_amplitude_segment.core.plan.draft import OpenedStream, compare, find_resumable
from airflow_provider_amplitude_segment.core.settings import SyncSettings
from benchmarks.sink import COHORT_ID, COHORT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.delivery.destination_sync import DestinationSync
    from airflow_provider_amplitude_segment.core.delivery.ports import Segment
    from airflow_provider_amplitude_segment.core.plan.draft import Draft

SETTINGS = SyncSettings(cohort_id=COHORT_ID, events_per_second=None)
"""The operator's own, but for the pace, which is off."""

TRAIT = f"{COHORT_NAME} ({COHORT_ID})"
_EXPORT_REQUEST_ID = "r1"
_RUN = Run("benchmark", "benchmark")
_DESTINATION = Destination("segment_default", "sink", key_fingerprint="benchmark")
_STREAM = Stream("1", COHORT_ID, _DESTINATION)


@contextmanager
def open_destination_sync(
    state: Path, scratch: Path, segment: Segment, *, members: Path | None = None
) -> Iterator[DestinationSync]:
    """Open the delivery of the plan that stands in a state folder; it is written first where ``members`` are given.

    Args:
        state: where the ledger is.
        scratch: an empty folder.
        segment: takes the bodies.
        members: Parquet with the column ``user_id``, distinct.
    """
    engine = Engine(scratch)
    ports = DeliveryPorts(
        segment_clients={_DESTINATION: segment},
        store=LedgerStore(state),
        clock=SystemClock(),
        random_source=SystemRandomSource(),
        stop=threading.Event(),
        scratch=scratch,
        engine=engine,
        integration={"name": "airflow-provider-amplitude-segment", "version": "benchmark"},
    )
    with closing(engine), HeldClaims(ports.store, [_STREAM], _RUN, ports.clock) as held_claims:
        ledger = Ledger(ports.store, _STREAM.folder)
        opened = OpenedStream(_STREAM, ledger, ledger.newest(), scratch)
        terms = PlanTerms(TRAIT, SETTINGS.sync_mode, _EXPORT_REQUEST_ID)
        draft: Draft | None = find_resumable(opened, terms, SETTINGS, _RUN)
        if draft is None:
            assert members is not None
            # The engine opens nothing elsewhere.
            copy = Path(shutil.copy(members, scratch))
            with engine.connect() as connection:
                count = connection.execute(f"SELECT count(*) FROM {parquet_rows(copy)}").fetchall()[0][0]
                draft = compare(connection, opened, terms, Membership(copy, count, count, 0, 0))
        yield plan_destination_syncs([draft], SETTINGS, held_claims, ports)[0]


def main() -> int:
    """Write a plan."""
    order = json.loads(sys.argv[1])
    Path(order["scratch"]).mkdir(parents=True)
    with open_destination_sync(
        Path(order["state"]),
        Path(order["scratch"]),
        Source(lambda _body: Acknowledged()),
        members=Path(order["members"]),
    ):
        return 0


if __name__ == "__main__":
    sys.exit(main())
