"""Ours without the sending: from the plan's file to bodies ready to post. With the limit, it parts our time."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.identify import Envelope
from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged
from benchmarks.plan import open_destination_sync
from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Make the bodies of a plan, one after the other, and drop them."""
    order = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        state, scratch = Path(folder, "state"), Path(folder, "scratch")
        shutil.copytree(order["state"], state)
        scratch.mkdir()
        with open_destination_sync(state, scratch, Source(lambda _body: Acknowledged())) as destination_sync:
            ledger, plan = destination_sync.draft.opened.ledger, destination_sync.plan
            changes = ledger.load_file(plan.changes, scratch / "changes.parquet")
            pending = ledger.journal(plan).pending(plan.planned)
            envelope = Envelope({"integration": dict(destination_sync.ports.integration)}, None)
            encoded = 0
            with Stopwatch() as stopwatch, destination_sync.ports.engine.connect() as engine:
                for batch in destination_sync._batches(engine, changes, pending, envelope, plan.timestamp):
                    envelope.wrap(batch.text, plan.timestamp)
                    encoded += len(batch)
    stopwatch.report(encoded=encoded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
