"""The bodies of a plan as ours makes them, in a file: what the limit posts.

``python -m benchmarks.bodies`` sends a copy of a plan to this file instead of Segment.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.segment import Source

from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged
from airflow_provider_amplitude_segment.core.plan.draft import report_draft
from benchmarks.plan import open_destination_sync

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.delivery.response import Response

_LENGTH_BYTES = 4


def read_bodies(path: Path) -> list[bytes]:
    """Return the bodies of a file."""
    with path.open("rb") as file:
        lengths = iter(lambda: file.read(_LENGTH_BYTES), b"")
        return [file.read(int.from_bytes(length, "big")) for length in lengths]


def main() -> int:
    """Write all bodies of a plan."""
    order = json.loads(sys.argv[1])
    lock = threading.Lock()
    with Path(order["bodies"]).open("wb") as file, tempfile.TemporaryDirectory(prefix="benchmark-") as folder:

        def keep(body: bytes) -> Response:
            with lock:
                file.write(len(body).to_bytes(_LENGTH_BYTES, "big") + bytes(body))
            return Acknowledged()

        state, scratch = Path(folder, "state"), Path(folder, "scratch")
        shutil.copytree(order["state"], state)
        scratch.mkdir()
        with open_destination_sync(state, scratch, Source(keep)) as destination_sync:
            _, error = destination_sync.deliver(report_draft(destination_sync.draft))
    if error is not None:
        raise error
    return 0


if __name__ == "__main__":
    sys.exit(main())
