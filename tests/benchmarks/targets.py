"""The targets: what was promised, beside what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.growth import CHURNED, CLIENT, FIRST, MOST_EXPORTED, UNCHANGED
from benchmarks.pace import APART, ONE

if TYPE_CHECKING:
    from collections.abc import Iterator

ENCODING = "ours, encoding alone"
OURS, SDK, LIMITS = "ours, client level", "segment-analytics-python", ("limit, 1 thread", "limit, 4 threads")
BEYOND = 10_000_000

_RATE, _PROCESSOR = "identifies_per_second", "processor_seconds_per_million"


@dataclass(frozen=True)
class Target:
    """A promise and its figure, as texts, and whether it is kept."""

    promise: str
    figure: str
    met: bool


def judge(results: dict[str, Any]) -> list[Target]:
    """Return every target that the results have figures for."""
    return [
        *_judge_speed(results.get("speed", [])),
        *_judge_memory(results.get("growth", [])),
        *_judge_pace(results.get("pace", [])),
    ]


def _judge_speed(rows: list[dict[str, Any]]) -> Iterator[Target]:
    by_name = {row["name"]: row for row in rows}
    if not rows:
        return
    ours = by_name[OURS]
    if SDK in by_name:
        ratio = ours["median"][_RATE] / by_name[SDK]["median"][_RATE]
        spread = _spread(ours, by_name[SDK])
        yield Target("client level at least 25 times segment-analytics-python", f"{ratio:.1f} ({spread})", ratio >= 25)
    limit = max((by_name[name] for name in LIMITS), key=lambda row: row["median"][_RATE])
    ratio = ours["median"][_RATE] / limit["median"][_RATE]
    yield Target("client level at least 0.4 of the limit", f"{ratio:.2f} ({_spread(ours, limit)})", ratio >= 0.4)
    spent = ours["median"][_PROCESSOR]
    yield Target("at most 4 processor-seconds a million identifies", f"{spent:.2f} s", spent <= 4)


def _spread(row: dict[str, Any], other: dict[str, Any]) -> str:
    """Return the least and the greatest ratio of one repeat."""
    pairs = zip(row["repeats"], other["repeats"], strict=True)
    ratios = [mine[_RATE] / theirs[_RATE] for mine, theirs in pairs]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def _judge_memory(rows: list[dict[str, Any]]) -> Iterator[Target]:
    held = {(row["work"], row["members"]): row["memory_above_idle_mib"] * 2**20 / 1e6 for row in rows}
    promised = ((FIRST, MOST_EXPORTED), (CHURNED, MOST_EXPORTED), (CLIENT, BEYOND))
    for work, members in promised:
        if (work, members) in held:
            megabytes = held[work, members]
            yield Target(f"{work} of {members:,}: at most 300 MB", f"{megabytes:.0f} MB", megabytes <= 300)
    if {(CLIENT, MOST_EXPORTED), (CLIENT, BEYOND)} <= held.keys():
        ratio = held[CLIENT, BEYOND] / held[CLIENT, MOST_EXPORTED]
        yield Target(f"memory of {BEYOND:,} at most 1.3 times that of {MOST_EXPORTED:,}", f"{ratio:.2f}", ratio <= 1.3)
    for row in rows:
        if (row["work"], row["members"]) == (UNCHANGED, MOST_EXPORTED):
            spent = row["processor_seconds"]
            promise = f"CSV of {MOST_EXPORTED:,} to a committed empty diff: at most 8 processor-seconds"
            yield Target(promise, f"{spent:.1f} s", spent <= 8)


def _judge_pace(rows: list[dict[str, Any]]) -> Iterator[Target]:
    for row in rows:
        paces = row["paces"]
        least, most = min(pace["least"] for pace in paces), max(pace["most"] for pace in paces)
        first = max(pace["first_second"] for pace in paces)
        even = f"{row['arrangement']}: 985 to 1,000 a second over any ten seconds"
        yield Target(even, f"{least:,.0f} to {most:,.0f}", least >= 985 and most <= 1000)
        yield Target(f"{row['arrangement']}: at most 1,000 in the first second", f"{first:,.0f}", first <= 1000)
    by_name = {row["arrangement"]: row for row in rows}
    if {ONE, APART} <= by_name.keys():
        ratio = by_name[APART]["seconds"] / by_name[ONE]["seconds"]
        yield Target("three workspaces take as long as one, within 10 %", f"{ratio:.2f}", 0.9 <= ratio <= 1.1)
