"""Another process at the same bucket: ``s3_peer.py <task> <url> <bucket> <number>`` prints JSON.

It prints ``ready`` first, and reads the time to begin.
"""

import json
import os
import sys
import time
from types import SimpleNamespace

from s3fs import S3FileSystem

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore

TURNS = 20


def main(task: str, url: str, bucket: str, number: str) -> object:
    fs = S3FileSystem(key="ledger-key", secret="ledger-secret", endpoint_url=url)
    root = SimpleNamespace(fs=fs, path=f"{bucket}/state")
    store = LedgerStore(root)
    store.put(f"warm/{number}", b"")
    print("ready", flush=True)  # noqa: T201 - the process that started it reads this
    start = float(sys.stdin.readline())
    if task == "create":
        won = []
        for turn in range(TURNS):
            time.sleep(max(0.0, start + turn / 20 - time.time()))
            won.append(store.create(f"a/claim-{turn}.json", f"claim of {number}".encode()))
        return won
    child = os.fork()
    if not child:
        LedgerStore(root).put("a/forked", b"written by the child")
        os._exit(0)
    return f"the child ended with {os.waitpid(child, 0)[1]}"


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - the process that started it reads this
