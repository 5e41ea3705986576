"""segment-analytics-python, as its documents use it: a client, ``identify`` for each user, ``flush`` and ``join``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from segment.analytics.client import Client

from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Tell the first users of a file."""
    order = json.loads(sys.argv[1])
    ids = Path(order["ids"]).read_text().split("\n")[: order["members"]]
    # It warns once for each event that it drops.
    logging.getLogger("segment").setLevel(logging.CRITICAL)
    with Stopwatch() as stopwatch:
        client = Client(order["write_key"], host=order["host"], **order["settings"])
        for user_id in ids:
            client.identify(user_id, {order["trait"]: True})
        client.flush()
        client.join()
    stopwatch.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
