"""Tables of the results, in Markdown: for the terminal and for the documents alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.growth import CHURNED, FIRST, MOST_EXPORTED
from benchmarks.machine import NODE_LIBRARY
from benchmarks.targets import ENCODING, LIMITS, OURS, judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_COSTS = ("MB sent", "seconds", "processor-seconds", "peak memory above an idle task's, MB")


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return a table for each part that was measured, by its name, and one for machine and targets."""
    made = {"machine": _machine(results), "targets": _targets(results)}
    parts = {"speed": _speed, "growth": _growth, "pace": _pace, "properties": _properties, "store": _store}
    parts |= {"files": _files}
    made |= {name: make(results[name]) for name, make in parts.items() if name in results}
    made |= {"profile": _profile(results["speed"])} if "speed" in results else {}
    return made | ({"worker": _worker(results["growth"])} if "growth" in results else {})


def _machine(results: dict[str, Any]) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    left_out = "" if NODE_LIBRARY in machine["versions"] else f" Left out, as it is not installed: {NODE_LIBRARY}."
    return (
        f"{machine['cores']} cores, {machine['memory_gib']} GiB of memory; {versions}. "
        f"Medians: of {results['repeats']} repeats for speed, each of them all subjects one after the other, and of "
        f"{results['growth_repeats']} for memory and growth.{left_out}"
    )


def _speed(rows: Sequence[dict[str, Any]]) -> str:
    header = (
        "subject",
        "setting",
        "identifies sent",
        "identifies/s",
        "spread",
        "processor-seconds a million",
        "peak memory, MiB",
        "of it while sending",
        "lost",
    )
    return _table(header, (_speed_row(row) for row in rows))


def _speed_row(row: dict[str, Any]) -> Sequence[str]:
    figures = row["median"]
    rates = [repeat["identifies_per_second"] for repeat in row["repeats"]]
    return (
        row["name"],
        row["setting"],
        f"{row['members']:,}",
        f"{figures['identifies_per_second']:,.0f}",
        f"{min(rates):,.0f} to {max(rates):,.0f}",
        f"{figures['processor_seconds_per_million']:.2f}",
        f"{figures['memory_peak_mib']:.0f}",
        f"{figures['memory_added_mib']:.0f}",
        f"{figures['lost']:,.0f}",
    )


def _profile(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the delivery's thread does at client level, and beside it what it is measured against."""
    by_name = {row["name"]: row for row in rows}
    ours = by_name[OURS]["median"]
    millions = by_name[OURS]["members"] / 1e6
    shares = [(name.removesuffix(", seconds"), figure) for name, figure in ours.items() if name.endswith(", seconds")]
    alone = [
        (name, 1e6 / by_name[name]["median"]["identifies_per_second"])
        for name in (ENCODING, *LIMITS)
        if name in by_name
    ]
    return _table(
        ("at client level", "seconds a million", "share"),
        [
            *((name, f"{figure / millions:.2f}", f"{figure / ours['seconds']:.0%}") for name, figure in shares),
            ("together", f"{ours['seconds'] / millions:.2f}", "100%"),
            *((f"{name}, for comparison", f"{figure:.2f}", "") for name, figure in alone),
        ],
    )


def _growth(rows: Sequence[dict[str, Any]]) -> str:
    header = (
        "work",
        "members",
        "identifies sent",
        "requests",
        *_COSTS,
    )
    order = list(dict.fromkeys(row["work"] for row in rows))
    ordered = sorted(rows, key=lambda row: (order.index(row["work"]), row["members"]))
    return _table(
        header,
        (
            (
                row["work"],
                f"{row['members']:,}",
                f"{row['identifies']:,}",
                f"{row['requests']:,}",
                *_costs(row),
            )
            for row in ordered
        ),
    )


def _properties(rows: Sequence[dict[str, Any]]) -> str:
    header = (
        "user properties",
        "work",
        "members",
        *_COSTS,
        "disk, MB",
    )
    return _table(
        header,
        (
            (
                str(row["properties"]),
                row["work"],
                f"{row['members']:,}",
                *_costs(row),
                f"{row['disk_peak_mib'] * 2**20 / 1e6:.0f}",
            )
            for row in rows
        ),
    )


def _store(rows: Sequence[dict[str, Any]]) -> str:
    header = ("work", "members", "put", "get", "list", "other", "MB up", "MB down")
    return _table(
        header,
        (
            (
                row["work"],
                f"{row['members']:,}",
                *(f"{row[kind]:,}" for kind in ("put", "get", "list", "other")),
                f"{row['bytes_up'] / 1e6:,.1f}",
                f"{row['bytes_down'] / 1e6:,.1f}",
            )
            for row in rows
        ),
    )


def _files(rows: Sequence[dict[str, Any]]) -> str:
    header = ("source", "work", "members", "identifies sent", *_COSTS[1:], "disk, MB")
    return _table(
        header,
        (
            (
                row["source"],
                row["work"],
                f"{row['members']:,}",
                f"{row['identifies']:,}",
                f"{row['seconds']:.2f}",
                f"{row['processor_seconds']:.2f}",
                f"{row['memory_above_idle_mib'] * 2**20 / 1e6:.0f}",
                f"{row['disk_peak_mib'] * 2**20 / 1e6:.0f}",
            )
            for row in rows
        ),
    )


def _costs(row: dict[str, Any]) -> Sequence[str]:
    return (
        f"{row['wire_bytes'] / 1e6:,.1f}",
        f"{row['seconds']:.2f}",
        f"{row['processor_seconds']:.2f}",
        f"{row['memory_above_idle_mib'] * 2**20 / 1e6:.0f}",
    )


_WORKER_SIZES = (10_000, 1_000_000, MOST_EXPORTED)
_PACE = 1000


def _worker(rows: Sequence[dict[str, Any]]) -> str:
    header = (
        "members",
        "sync",
        "memory, MB",
        "disk, MB",
        "processor-seconds",
        "seconds without a rate limit",
        "at 1,000/s",
    )
    return _table(
        header,
        (
            (
                f"{row['members']:,}",
                row["work"],
                f"{row['memory_above_idle_mib'] * 2**20 / 1e6:.0f}",
                f"{row['disk_peak_mib'] * 2**20 / 1e6:.0f}",
                f"{row['processor_seconds']:.1f}",
                f"{row['seconds']:.1f}",
                _duration(max(row["seconds"], row["identifies"] / _PACE)),
            )
            for row in sorted(rows, key=lambda row: row["members"])
            if row["work"] in (FIRST, CHURNED) and row["members"] in _WORKER_SIZES
        ),
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _pace(rows: Sequence[dict[str, Any]]) -> str:
    header = ("destinations", "members", "seconds", "first second", "least over ten seconds, a second", "most")
    return _table(
        header,
        (
            (
                row["arrangement"],
                f"{row['members']:,}",
                f"{row['seconds']:.2f}",
                f"{pace['first_second']:,.0f}",
                f"{pace['least']:,.1f}",
                f"{pace['most']:,.1f}",
            )
            for row in rows
            for pace in row["paces"]
        ),
    )


def _targets(results: dict[str, Any]) -> str:
    rows = ((target.promise, target.figure, "yes" if target.met else "**no**") for target in judge(results))
    return _table(("target", "measured", "met"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
