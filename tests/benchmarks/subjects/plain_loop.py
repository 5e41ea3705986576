"""A plain loop, as a task of one's own would be: one ``requests`` session, one request a user."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import requests

from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Tell the first users of a file."""
    order = json.loads(sys.argv[1])
    ids = Path(order["ids"]).read_text().split("\n")[: order["members"]]
    with Stopwatch() as stopwatch, requests.Session() as session:
        session.auth = (order["write_key"], "")
        for user_id in ids:
            message = {
                "type": "identify",
                "userId": user_id,
                "traits": {order["trait"]: True},
                "timestamp": datetime.now(UTC).isoformat(),
            }
            session.post(f"{order['host']}/v1/identify", json=message, timeout=30).raise_for_status()
    stopwatch.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
