"""Charts of the results as SVG; the same figures give the same file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

mpl.rcParams.update(
    {
        "svg.hashsalt": "benchmarks",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)

_OURS, _PEER, _LIMIT = "#2f6fb0", "#b9c0c8", "#e0a53f"
_PROMISED_MB = 300
_LINES = {
    "client level": ("#2f6fb0", "o"),
    "first sync": ("#c8553d", "s"),
    "sync with 5 % changed": ("#5b8e4a", "^"),
    "sync without changes": ("#8a6fb0", "D"),
}


def draw_speed(rows: list[dict[str, Any]], to: Path) -> None:
    """Draw a bar for each subject, the fastest on top, on a scale of powers of ten."""
    ordered = sorted(rows, key=lambda row: row["median"]["identifies_per_second"])
    rates = [row["median"]["identifies_per_second"] for row in ordered]
    figure = Figure(figsize=(9, 0.45 * len(ordered) + 1.1), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh([row["name"] for row in ordered], rates, color=[_color(row["name"]) for row in ordered])
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=4)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 3, max(rates) * 4)
    axes.set_xlabel("identifies a second, on a scale of powers of ten")
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", length=0)
    _save(figure, to)


def draw_growth(rows: list[dict[str, Any]], to: Path) -> None:
    """Draw time and memory over the members, a line for each kind of work."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for work, (color, marker) in _LINES.items():
        points = sorted((row["members"], row) for row in rows if row["work"] == work)
        members = [count for count, _ in points]
        style = {"color": color, "marker": marker, "label": work, "linewidth": 1.6, "markersize": 5}
        time.plot(members, [row["seconds"] for _, row in points], **style)
        memory.plot(members, [row["memory_above_idle_mib"] * 2**20 / 1e6 for _, row in points], **style)
    for axes in (time, memory):
        axes.set_xscale("log")
        axes.set_xlabel("members")
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.grid(visible=True, color="#e6e8eb", linewidth=0.8)
        axes.set_axisbelow(True)
    time.set_yscale("log")
    time.yaxis.set_major_formatter(FuncFormatter(_plain))
    time.set_title("seconds", loc="left")
    time.yaxis.set_minor_formatter(NullFormatter())
    memory.set_ylim(0, max(_PROMISED_MB, memory.get_ylim()[1]) * 1.1)
    memory.set_title("peak memory above an idle task's, MB", loc="left")
    _limit_line(memory)
    time.legend(frameon=False)
    _save(figure, to)


def _limit_line(axes: Axes) -> None:
    axes.axhline(_PROMISED_MB, color="#888888", linewidth=1, linestyle="--")
    axes.text(
        0.02, _PROMISED_MB, f"{_PROMISED_MB} MB", transform=axes.get_yaxis_transform(), va="bottom", color="#666666"
    )


def _color(name: str) -> str:
    return next((color for word, color in (("ours", _OURS), ("limit", _LIMIT)) if name.startswith(word)), _PEER)


def _plain(value: float, _: object) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _short(value: float, _: object) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"


def _save(figure: Figure, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, format="svg", metadata={"Date": None})
    # Matplotlib leaves white space at the ends of lines.
    to.write_text("\n".join(line.rstrip() for line in to.read_text().splitlines()) + "\n")
