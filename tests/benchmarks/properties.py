"""User properties: a sync's time, processor time and memory, without any and with some of 20 characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.growth import measure_idle, medians, sync_thrice

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.workbench import Workbench

COUNTS = (0, 1, 5)


def measure_properties(
    bench: Workbench, members: int, repeats: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return a row for each number of user properties and each kind of sync; figures are medians."""
    idle = measure_idle(bench, repeats)
    rows = []
    for properties in COUNTS:
        for work, (measured, sent) in sync_thrice(bench, members, repeats, properties=properties).items():
            row = {"properties": properties, "work": work, "members": members, **medians(measured, idle), **sent}
            rows.append(row)
            say(
                f"{members:,} members, {properties} user properties, {work}: {row['seconds']:.2f} s, "
                f"{row['processor_seconds']:.2f} processor-seconds, {row['memory_above_idle_mib']:.0f} MiB"
            )
    return rows
