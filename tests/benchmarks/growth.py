"""Growth: time, processor time and memory over the number of members, for each kind of work."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.subject import Measurement
    from benchmarks.workbench import Workbench

MOST_EXPORTED = 1_999_999
"""Amplitude caps an export at 2,000,000 rows, and one of that many is refused as possibly cut off."""

CHURN = 0.05
"""Share of the members who change, half of them enter and half of them exit."""

CLIENT, FIRST, UNCHANGED, CHURNED = "client level", "first sync", "sync without changes", "sync with 5 % changed"


Works = dict[str, tuple[list["Measurement"], dict[str, int]]]
"""By kind of work its runs, and what the sink counted of the last one."""


def measure_growth(
    bench: Workbench, sizes: Sequence[int], repeats: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return a row for each kind of work and each number of members; figures are medians.

    Beyond what Amplitude exports there is the client level only.
    """
    idle = measure_idle(bench, repeats)
    rows = []
    for members in sizes:
        works: Works = {CLIENT: ([bench.deliver_plan(members) for _ in range(repeats)], _counted(bench))}
        bench.drop(bench.plan(members))
        if members <= MOST_EXPORTED:
            works |= sync_thrice(bench, members, repeats)
        for work, (measured, counted) in works.items():
            row = {"work": work, "members": members, **medians(measured, idle), **counted}
            rows.append(row)
            say(
                f"{members:,} members, {work}: {row['seconds']:.2f} s, {row['processor_seconds']:.2f} "
                f"processor-seconds, {row['memory_above_idle_mib']:.0f} MiB above an idle task, "
                f"{row['identifies']:,} identifies"
            )
        _forget_inputs(bench, members)
    return rows


def measure_idle(bench: Workbench, repeats: int) -> float:
    """Return the peak of an idle Airflow task, MiB."""
    return median(bench.idle_task().memory_peak_mib for _ in range(repeats))


def sync_thrice(bench: Workbench, members: int, repeats: int, *, properties: int = 0) -> Works:
    """Sync from nothing, then without a change, then with changes, each so often; one ledger, as it is in use.

    Those who exit in one sync with changes enter again in the next one.
    """
    state = bench.folder / f"state-{members}"
    export = bench.export(members, properties=properties)
    moved = bench.export(members, first=max(1, round(members * CHURN / 2)), properties=properties)
    names: dict[str, Any] = {"user_properties": bench.property_names(properties)} if properties else {}
    works: Works = {}
    first = []
    for _ in range(repeats):
        bench.drop(state)
        first.append(bench.sync(state, export, "first", **names))
    works[FIRST] = (first, _counted(bench))
    unchanged = [bench.sync(state, export, f"unchanged-{number}", **names) for number in range(repeats)]
    works[UNCHANGED] = (unchanged, _counted(bench))
    churned = [
        bench.sync(state, export if number % 2 else moved, f"churned-{number}", **names) for number in range(repeats)
    ]
    works[CHURNED] = (churned, _counted(bench))
    bench.drop(state)
    return works


def _forget_inputs(bench: Workbench, members: int) -> None:
    for pattern in (f"ids-*-{members}.parquet", f"export-*-{members}-*.csv"):
        for path in bench.folder.glob(pattern):
            path.unlink()


def _counted(bench: Workbench) -> dict[str, int]:
    arrived = bench.sink.arrivals()
    return {"identifies": arrived.identifies, "requests": arrived.requests, "wire_bytes": arrived.wire_bytes}


def medians(measured: Sequence[Measurement], idle: float) -> dict[str, float]:
    """Return the median figures of repeated measurements; the disk is the most of any."""
    return {
        "seconds": median(one.seconds for one in measured),
        "processor_seconds": median(one.processor_seconds for one in measured),
        "memory_peak_mib": median(one.memory_peak_mib for one in measured),
        "memory_idle_mib": idle,
        "memory_above_idle_mib": median(one.memory_peak_mib for one in measured) - idle,
        "disk_peak_mib": max(one.disk_peak_mib for one in measured),
    }
