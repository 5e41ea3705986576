"""``python -m benchmarks``: measures ours beside the peers and the limit, and prints tables.

A full run also writes its results as JSON, charts and the tables of the documents.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.document import write_results
from benchmarks.files import QUICK_SIZES, SIZES, measure_files
from benchmarks.growth import MOST_EXPORTED, measure_growth
from benchmarks.machine import describe_machine
from benchmarks.object_store import measure_object_store
from benchmarks.pace import measure_pace
from benchmarks.properties import measure_properties
from benchmarks.speed import Sizes, measure_speed
from benchmarks.table import tables
from benchmarks.targets import BEYOND
from benchmarks.workbench import Workbench

DOCS = Path(__file__).parents[2] / "docs"
PARTS = ("speed", "memory", "growth", "pace", "properties", "store", "files")

_MEMORY_SIZES = (MOST_EXPORTED, BEYOND)
_GROWTH_SIZES = (10_000, 100_000, 1_000_000, *_MEMORY_SIZES)
_QUICK_SIZES = (10_000, 100_000)


def main() -> int:
    """Measure on the command line's terms; it prints which targets are missed, and that is no failure."""
    arguments = _read_arguments()
    results = json.loads(arguments.redraw.read_text()) if arguments.redraw else _measure(arguments)
    for name, table in tables(results).items():
        print(f"\n{name}\n\n{table}")
    is_whole = not results["quick"] and set(PARTS) - {"memory"} <= results.keys()
    if folder := arguments.out or (DOCS if is_whole else None):
        write_results(results, folder)
        print(f"\nwritten to {folder}")
    return 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works; some minutes")
    only = f"some of {','.join(PARTS)}; memory is the two greatest sizes of growth"
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS, help=only)
    parser.add_argument("--repeats", type=int, help="of the speed part, 5 or (quick) 2; at most 3 of growth")
    parser.add_argument("--out", type=Path, help="folder for JSON and charts; docs for a full run of all parts")
    parser.add_argument("--redraw", type=Path, help="measure nothing: tables and charts from this JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(PARTS):
        parser.error(f"--only takes some of {','.join(PARTS)}, not {','.join(sorted(unknown))}")
    arguments.repeats = arguments.repeats or (2 if arguments.quick else 5)
    return arguments


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    results: dict[str, Any] = {
        "machine": describe_machine(),
        "quick": arguments.quick,
        "repeats": arguments.repeats,
        "growth_repeats": 1 if arguments.quick else min(arguments.repeats, 3),
    }
    with Workbench() as bench:
        if "speed" in arguments.only:
            sizes = Sizes(100_000, 5, 20_000, 3_000) if arguments.quick else Sizes(MOST_EXPORTED, 3, 100_000, 20_000)
            results["speed"] = measure_speed(bench, sizes, arguments.repeats, say)
        if {"memory", "growth"} & set(arguments.only):
            sizes_of = (
                _QUICK_SIZES if arguments.quick else _GROWTH_SIZES if "growth" in arguments.only else _MEMORY_SIZES
            )
            results["growth"] = measure_growth(bench, sizes_of, results["growth_repeats"], say)
        if "pace" in arguments.only:
            results["pace"] = measure_pace(bench, 12 if arguments.quick else 30, say)
        members = 20_000 if arguments.quick else 1_000_000
        if "properties" in arguments.only:
            results["properties"] = measure_properties(bench, members, results["growth_repeats"], say)
        if "files" in arguments.only:
            results["files"] = measure_files(bench, QUICK_SIZES if arguments.quick else SIZES, say)
        if "store" in arguments.only:
            results["store"] = measure_object_store(bench, members, say)
    return results


if __name__ == "__main__":
    sys.exit(main())
