"""``python -m faults``: plays many histories, and prints what was survived. Exits with 1 where one ended wrong."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from faults.bad_input import CASES, try_bad_input
from faults.play import play_seed
from faults.tally import Tally

HISTORIES = 500


def main() -> int:
    """Play the histories on the command line's terms."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--histories", type=int, default=HISTORIES, help="how many; each seed is a history")
    parser.add_argument("--seed", type=int, default=1, help="of the first history")
    parser.add_argument("--first", action="store_true", help="stop at the first history that ends wrong")
    parser.add_argument("--quiet", action="store_true", help="do not print the steps of histories that end wrong")
    parser.add_argument("--files", action="store_true", help="read cohort files in each history, not in two of five")
    parser.add_argument("--no-bad-input", action="store_true", help="play histories only")
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), help="processes that play histories")
    told = parser.parse_args()

    began = time.monotonic()
    total, failed = Tally(), []
    seeds = range(told.seed, told.seed + told.histories)
    with ProcessPoolExecutor(told.workers, multiprocessing.get_context("spawn")) as pool:
        read = {kind: pool.submit(try_bad_input, kind, count) for kind, count in CASES.items() if not told.no_bad_input}
        for future in as_completed([pool.submit(play_seed, seed, told.files) for seed in seeds]):
            seed, tally, wrong = future.result()
            total.add(tally)
            if wrong:
                failed.append(seed)
                print(f"{wrong}\n" if not told.quiet else f"seed {seed} failed: {dict(tally.findings)}")
                if told.first:
                    pool.shutdown(cancel_futures=True)
                    break
        bad_inputs = {kind: future.result() for kind, future in read.items() if not future.cancelled()}
    print(total.table(time.monotonic() - began))
    for kind, count in bad_inputs.items():
        print(f"{count:,} bad {kind}: nothing but our own errors")
    if failed:
        print(f"{len(failed)} histories ended wrong, seeds {', '.join(map(str, sorted(failed)[:20]))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
