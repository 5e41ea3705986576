"""The limit: bodies as ours makes them, all encoded before the clock starts, posted by a ``requests`` session."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

from benchmarks.bodies import read_bodies
from benchmarks.stopwatch import Stopwatch


def main() -> int:
    """Post all bodies of a file, so many times, from so many threads."""
    order = json.loads(sys.argv[1])
    bodies, threads = read_bodies(Path(order["bodies"])) * order["rounds"], order["threads"]
    with requests.Session() as session:
        session.auth = (order["write_key"], "")
        session.trust_env = False
        session.mount("http://", HTTPAdapter(pool_maxsize=threads))

        def post(body: bytes) -> None:
            headers = {"Content-Type": "application/json"}
            answer = session.post(f"{order['host']}/v1/batch", data=body, headers=headers, timeout=30)
            answer.raise_for_status()

        with Stopwatch() as stopwatch:
            if threads == 1:
                for body in bodies:
                    post(body)
            else:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(post, bodies))
    stopwatch.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
