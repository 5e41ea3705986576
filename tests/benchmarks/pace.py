"""Pace: what the sink sees of ``events_per_second=1000``, to one destination and to three."""

from __future__ import annotations

from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.workbench import Workbench

EVENTS_PER_SECOND = 1000
WINDOW_SECONDS = 10.0

Arrival = tuple[float, int]
"""When a batch's last byte was there, and how many identifies it held."""

ONE, APART, TOGETHER = "one destination", "three workspaces", "one workspace, three destinations"


def measure_pace(bench: Workbench, seconds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each arrangement of destinations."""
    three = ("segment_a", "segment_b", "segment_c")
    arrangements: dict[str, tuple[dict[str, dict[str, str]], int]] = {
        ONE: ({"segment_a": {"workspace": "a"}}, seconds * EVENTS_PER_SECOND),
        APART: ({name: {"workspace": name} for name in three}, seconds * EVENTS_PER_SECOND),
        TOGETHER: ({name: {"workspace": "a"} for name in three}, seconds * EVENTS_PER_SECOND // len(three)),
    }
    rows = []
    for name, (extras, members) in arrangements.items():
        state = bench.folder / f"pace-{len(rows)}"
        measured = bench.sync(
            state,
            bench.export(members),
            "pace",
            connections=bench.sink.connections(**extras),
            segment_conn_id=list(extras),
            events_per_second=EVENTS_PER_SECOND,
        )
        bench.drop(state)
        row = {
            "arrangement": name,
            "members": members,
            "destinations": len(extras),
            "seconds": max(destination["seconds"] for destination in measured.reported["report"]["destinations"]),
            "paces": _paces(bench.sink.arrivals().each, by_key=name != TOGETHER),
        }
        rows.append(row)
        for pace in row["paces"]:
            say(
                f"{name}: {row['seconds']:.1f} s; first second {pace['first_second']:,}; "
                f"any ten seconds {pace['least']:,.0f} to {pace['most']:,.0f} a second"
            )
    return rows


def _paces(each: Sequence[tuple[float, str, int]], *, by_key: bool) -> list[dict[str, float]]:
    """Return what was seen of each destination, or of all together."""
    ordered = sorted(each, key=lambda arrival: (arrival[1] if by_key else "", arrival[0]))
    groups = groupby(ordered, key=lambda arrival: arrival[1] if by_key else "")
    return [seen_pace([(moment, count) for moment, _, count in group]) for _, group in groups]


def seen_pace(arrivals: Sequence[Arrival]) -> dict[str, float]:
    """Return identifies of the first second, and the least and the most a second over any ten seconds.

    >>> seen_pace([(second / 4, 250) for second in range(80)])
    {'first_second': 1000, 'least': 1000.0, 'most': 1000.0}
    """
    moments = [moment for moment, _ in arrivals]
    so_far = [0, *accumulate(count for _, count in arrivals)]
    first, last = moments[0], moments[-1]

    def count(begin: float, *, begin_included: bool) -> float:
        """Count those from ``begin`` for ten seconds: with the one at its begin or with the one at its end."""
        end = begin + WINDOW_SECONDS
        if begin_included:
            inside = [begin <= moment < end for moment in moments]
        else:
            inside = [begin < moment <= end for moment in moments]
        low = inside.index(True)
        return (so_far[low + sum(inside)] - so_far[low]) / WINDOW_SECONDS

    begins = [moment for moment in moments if moment + WINDOW_SECONDS <= last]
    counts = [count(begin, begin_included=included) for begin in begins for included in (True, False)]
    return {
        "first_second": sum(messages for moment, messages in arrivals if moment < first + 1),
        "least": min(counts, default=0.0),
        "most": max(counts, default=0.0),
    }
