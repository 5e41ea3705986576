"""Growth: time, processor time and memory over the number of members, for each kind of work."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.ids import write_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.subject import Measurement
    from benchmarks.workbench import Workbench

MOST_EXPORTED = 1_999_999
"""Amplitude caps an export at 2,000,000 rows, and one of that many is refused as possibly cut off."""

CHURN = 0.05
"""Share of the members who move, half of them in and half of them out."""

CLIENT, FIRST, UNCHANGED, CHURNED = "client level", "first sync", "sync without movers", "sync with 5 % movers"


def measure_growth(
    bench: Workbench, sizes: Sequence[int], repeats: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return a row for each kind of work and each number of members; figures are medians.

    Beyond what Amplitude exports there is the client level only.
    """
    idle = measure_idle(bench, repeats)
    rows = []
    for members in sizes:
        works = {CLIENT: [bench.tell_plan(members)]}
        counted = {CLIENT: _counted(bench)}
        bench.drop(bench.plan(members))
        if members <= MOST_EXPORTED:
            _sync_thrice(bench, members, repeats, works, counted)
        _forget_inputs(bench, members)
        for work, measured in works.items():
            row = {"work": work, "members": members, **_medians(measured, idle), **counted[work]}
            rows.append(row)
            say(
                f"{members:,} members, {work}: {row['seconds']:.2f} s, {row['processor_seconds']:.2f} processor-seconds, "
                f"{row['memory_above_idle_mib']:.0f} MiB above an idle task, {row['identifies']:,} identifies"
            )
    return rows


def measure_idle(bench: Workbench, repeats: int) -> float:
    """Return the peak of an idle Airflow task, MiB."""
    return median(bench.idle_task().memory_peak_mib for _ in range(repeats))


def _sync_thrice(
    bench: Workbench,
    members: int,
    repeats: int,
    works: dict[str, list[Measurement]],
    counted: dict[str, dict[str, int]],
) -> None:
    """Sync from nothing, then with nobody moving, then with movers: one ledger, as it is in use."""
    state = bench.folder / f"state-{members}"
    export, moved = bench.export(members), max(1, round(members * CHURN / 2))
    works[FIRST] = [bench.sync(state, export, "first")]
    counted[FIRST] = _counted(bench)
    works[UNCHANGED] = [bench.sync(state, export, f"unchanged-{number}") for number in range(repeats)]
    counted[UNCHANGED] = _counted(bench)
    works[CHURNED] = [bench.sync(state, bench.export(members, first=moved), "churned")]
    counted[CHURNED] = _counted(bench)
    bench.drop(state)


def _forget_inputs(bench: Workbench, members: int) -> None:
    write_ids(bench.folder, members).unlink()
    for export in bench.folder.glob(f"export-*-{members}.csv"):
        export.unlink()


def _counted(bench: Workbench) -> dict[str, int]:
    arrived = bench.sink.arrivals()
    return {"identifies": arrived.identifies, "requests": arrived.requests, "wire_bytes": arrived.wire_bytes}


def _medians(measured: Sequence[Measurement], idle: float) -> dict[str, float]:
    return {
        "seconds": median(one.seconds for one in measured),
        "processor_seconds": median(one.processor_seconds for one in measured),
        "memory_peak_mib": median(one.memory_peak_mib for one in measured),
        "memory_above_idle_mib": median(one.memory_peak_mib for one in measured) - idle,
    }
