"""Speed: all subjects side by side, one repeat after the other, each repeat all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.machine import NODE_LIBRARY, NODE_MODULES, find_node
from benchmarks.sink_process import WRITE_KEY
from benchmarks.subject import run_module, run_program
from benchmarks.targets import ENCODING, OURS
from benchmarks.workbench import TRAIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.subject import Measurement
    from benchmarks.workbench import Workbench

_HERE = Path(__file__).parent

# The best found by trying: 1, 2 and 4 threads, batches of 100 to 2,000, waits of 0.01 to 0.5 s, gzip on and off. A
# queue as long as the cohort is what keeps it from dropping events. (sync_mode posts one event a request.)
SDK_SETTINGS = {"thread": 1, "upload_size": 1000, "upload_interval": 0.05}
NODE_SETTINGS = {"flushAt": 1000}
NODE_PAUSE_EVERY = 100


@dataclass(frozen=True)
class Sizes:
    """Users of each subject: enough for it to run for seconds; the first ones of the same.

    ``rounds`` is how often the limit posts its bodies: it is the fastest.
    """

    ours: int
    rounds: int
    sdk: int
    loop: int


@dataclass(frozen=True)
class Contender:
    """A subject's name in tables, its setting for a reader, how many users it sends, and how to run it."""

    name: str
    setting: str
    members: int
    run: Callable[[], Measurement]


def measure_speed(bench: Workbench, sizes: Sizes, repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return for each subject its medians, and each repeat's figures."""
    contenders = _contenders(bench, sizes)
    repeated: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in contenders}
    for repeat in range(1, repeats + 1):
        for contender in contenders:
            bench.sink.reset()
            measured = contender.run()
            arrived = measured.reported.get("encoded", bench.sink.arrivals().identifies)
            figures = _figures(contender, measured, arrived)
            repeated[contender.name].append(figures)
            say(
                f"repeat {repeat}: {contender.name}: {figures['identifies_per_second']:,.0f} identifies/s, "
                f"{figures['processor_seconds_per_million']:.2f} processor-seconds a million, "
                f"{figures['lost']:,.0f} lost"
            )
    return [
        {
            "name": contender.name,
            "setting": contender.setting,
            "members": contender.members,
            "median": {figure: median(repeat[figure] for repeat in repeats_of) for figure in repeats_of[0]},
            "repeats": repeats_of,
        }
        for contender in contenders
        for repeats_of in [repeated[contender.name]]
    ]


def _figures(contender: Contender, measured: Measurement, arrived: int) -> dict[str, float]:
    figures = {
        "identifies_per_second": arrived / measured.seconds,
        "seconds": measured.seconds,
        "processor_seconds_per_million": measured.processor_seconds / max(arrived, 1) * 1e6,
        "memory_peak_mib": measured.memory_peak_mib,
        "memory_added_mib": measured.memory_added_mib,
        "lost": contender.members - arrived,
    }
    if "whole_seconds" in measured.reported:
        figures["with_commit_identifies_per_second"] = arrived / measured.reported["whole_seconds"]
        figures["with_commit_processor_seconds_per_million"] = (
            measured.reported["whole_processor_seconds"] / arrived * 1e6
        )
    figures |= {f"{share}, seconds": seconds for share, seconds in measured.reported.get("shares", {}).items()}
    return figures


def _contenders(bench: Workbench, sizes: Sizes) -> list[Contender]:
    order = {"host": bench.sink.url, "write_key": WRITE_KEY, "trait": TRAIT}

    def limit(threads: int) -> Measurement:
        bodies = str(bench.bodies(sizes.ours))
        return run_module(
            "benchmarks.subjects.limit",
            {**order, "bodies": bodies, "rounds": sizes.rounds, "threads": threads},
            bench.airflow,
        )

    def sdk(**settings: Any) -> Measurement:
        given = {**order, "ids": str(bench.lines(sizes.sdk)), "members": sizes.sdk, "settings": settings}
        return run_module("benchmarks.subjects.segment_sdk", given, {})

    def loop() -> Measurement:
        given = {**order, "ids": str(bench.lines(sizes.sdk)), "members": sizes.loop}
        return run_module("benchmarks.subjects.plain_loop", given, {})

    best = {**SDK_SETTINGS, "max_queue_size": sizes.sdk}
    contenders = [
        Contender(
            "limit, 1 thread",
            "the same bodies, ready, one requests session",
            sizes.ours * sizes.rounds,
            partial(limit, 1),
        ),
        Contender(
            "limit, 4 threads",
            "the same bodies, ready, one requests session",
            sizes.ours * sizes.rounds,
            partial(limit, 4),
        ),
        Contender(
            ENCODING,
            "plan file to ready bodies, nothing sent",
            sizes.ours,
            lambda: bench.encode_plan(sizes.ours),
        ),
        Contender(OURS, "plan file to acknowledged", sizes.ours, lambda: bench.deliver_plan(sizes.ours)),
        Contender("ours, whole sync", "operator, no rate limit", sizes.ours, partial(_first_sync, bench, sizes.ours)),
        Contender("segment-analytics-python", _shown(best), sizes.sdk, partial(sdk, **best)),
        Contender("segment-analytics-python, defaults", "as installed", sizes.sdk, sdk),
        Contender("plain loop", "one requests session, one request a user", sizes.loop, loop),
    ]
    if node := find_node():
        setting = f"{_shown(NODE_SETTINGS)}, a pause every {NODE_PAUSE_EVERY:,}"
        run = partial(_deliver_by_node, node, bench, sizes.sdk)
        contenders.insert(-1, Contender(NODE_LIBRARY, setting, sizes.sdk, run))
    # Made before the first clock starts.
    bench.bodies(sizes.ours)
    return contenders


def _first_sync(bench: Workbench, members: int) -> Measurement:
    state = bench.folder / "speed-state"
    try:
        return bench.sync(state, bench.export(members), "first")
    finally:
        bench.drop(state)


def _deliver_by_node(node: str, bench: Workbench, members: int) -> Measurement:
    order = {
        "modules": str(NODE_MODULES),
        "host": bench.sink.url,
        "writeKey": WRITE_KEY,
        "trait": TRAIT,
        "ids": str(bench.lines(members)),
        "members": members,
        "settings": NODE_SETTINGS,
        "pauseEvery": NODE_PAUSE_EVERY,
    }
    return run_program([node, str(_HERE / "node" / "send.mjs"), json.dumps(order)], {})


def _shown(settings: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}={value:,}" if isinstance(value, int) else f"{name}={value}" for name, value in settings.items()
    )
