"""The documents with the figures: their tables stand between marks, and come from the results alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.table import tables

NAMES = ("explanation/performance.md", "explanation/scaling.md")


def write_results(results: dict[str, Any], folder: Path) -> None:
    """Write ``benchmarks.json``, the charts in ``images/``, and the tables into the document if it is there."""
    from benchmarks.chart import draw_growth, draw_speed  # noqa: PLC0415 - matplotlib is not there where tests run

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(_rounded(results), indent=1) + "\n")
    for part, draw in (("speed", draw_speed), ("growth", draw_growth)):
        if part in results:
            draw(results[part], folder / "images" / f"{part}.svg")
    for document in filter(Path.exists, (folder / name for name in NAMES)):
        document.write_text(filled(document.read_text(), tables(results)))


def _rounded(value: Any) -> Any:
    """Return results without digits that say nothing."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {name: _rounded(inner) for name, inner in value.items()}
        case list():
            return [_rounded(inner) for inner in value]
        case _:
            return value


def filled(text: str, parts: dict[str, str]) -> str:
    r"""Return a document with each part between its marks; what stands outside of marks is left alone.

    >>> print(filled("a\n<!-- bench: speed -->\nold\n<!-- end -->\nb", {"speed": "new"}))
    a
    <!-- bench: speed -->
    new
    <!-- end -->
    b
    """

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- bench: {name} -->\n{parts[name]}\n<!-- end -->" if name in parts else found[0]

    return re.sub(r"<!-- bench: (?P<name>\w+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)
