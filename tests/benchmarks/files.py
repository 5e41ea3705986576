"""Cohort files: memory of 10,000,000 members from files beside that of the most that the API exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.growth import CHURN, CHURNED, FIRST, MOST_EXPORTED, UNCHANGED, measure_idle, medians
from benchmarks.targets import BEYOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.subject import Measurement
    from benchmarks.workbench import Workbench

API, FILES = "API export", "cohort files"
QUICK_SIZES, SIZES = (10_000, 20_000), (MOST_EXPORTED, BEYOND)


def measure_files(bench: Workbench, sizes: tuple[int, int], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each kind of sync: of the smaller number by the API, of both by files."""
    idle = measure_idle(bench, 1)
    rows = []
    for source, members in ((API, sizes[0]), (FILES, sizes[0]), (FILES, sizes[1])):
        for work, (measured, identifies) in _sync_thrice(bench, source, members).items():
            row = {"source": source, "work": work, "members": members, **medians([measured], idle)}
            rows.append({**row, "identifies": identifies})
            say(
                f"{members:,} members, {source}, {work}: {row['seconds']:.2f} s, {row['processor_seconds']:.2f} "
                f"processor-seconds, {row['memory_above_idle_mib']:.0f} MiB above an idle task, {identifies:,} "
                "identifies"
            )
    return rows


def _sync_thrice(bench: Workbench, source: str, members: int) -> dict[str, tuple[Measurement, int]]:
    """Sync from nothing, then the same, then with changes; with files, the second sync finds nothing new."""
    state, moved = bench.folder / f"state-{source}-{members}", max(1, round(members * CHURN / 2))
    works = {}
    for work, moves in ((FIRST, 0), (UNCHANGED, 0), (CHURNED, moved)):
        if source == API:
            measured = bench.sync(state, bench.export(members, first=moves), work)
        else:
            folder = str(bench.file_set(members, moves))
            measured = bench.sync(state, None, work, listed=members, cohort_files=folder)
        works[work] = (measured, bench.sink.arrivals().identifies)
    bench.drop(state)
    return works
