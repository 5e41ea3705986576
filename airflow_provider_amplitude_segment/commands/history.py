"""``history``: print the syncs of a cohort with their counts."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.commands.standard_error import print_passed_over
from airflow_provider_amplitude_segment.core.ledger.pruning import KEPT_REPORTS
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams_of_cohort
from airflow_provider_amplitude_segment.core.maintenance.history import COLUMNS, read_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.ledger.stream import Store
    from airflow_provider_amplitude_segment.core.maintenance.history import HistoryRow

_LIMIT = 50
_SHOWN = ("at", "outcome", "mode", "members", "known", "entered", "exited", "rejected", "pending", "answered_by", "run")
_TEXTS = frozenset({"at", "outcome", "mode", "answered_by", "run"})


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Describe the command; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser("history", help="print a cohort's syncs with their counts")
    parser.add_argument("--cohort", required=True, metavar="COHORT_ID", help="Amplitude's cohort ID")
    parser.add_argument("--app-id", help="the Amplitude project's number; default: all projects")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.add_argument(
        "--limit", type=_limit, default=_LIMIT, help=f"the newest rows of each destination; default: {_LIMIT}"
    )
    return parser


def run(store: Store, options: argparse.Namespace) -> int:
    """Print the history; return 1 where a folder cannot be read."""
    passed: list[Any] = []
    # As in __main__: logs do not belong between the rows.
    with redirect_stdout(sys.stderr):
        streams = find_streams_of_cohort(store, options.cohort, options.app_id, passed.append)
        rows = read_history(store, streams, options.limit)
    if options.format == "json":
        print(json.dumps([row.as_dict() for row in rows], indent=1))
    elif options.format == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.as_dict() for row in rows)
    else:
        print("\n".join(_table(rows)))
    for folder in passed:
        print_passed_over(folder)
    return 1 if passed else 0


def _table(rows: Sequence[HistoryRow]) -> list[str]:
    """Return the rows as lines: a heading for each ledger, its columns aligned."""
    lines: list[str] = []
    for ledger in dict.fromkeys(row.ledger for row in rows):
        own = [row for row in rows if row.ledger == ledger]
        lines.append(f"{ledger} (connection {own[-1].segment_conn_id})")
        cells = [list(_SHOWN), *([_cell(row.as_dict()[name]) for name in _SHOWN] for row in own)]
        widths = [max(len(line[column]) for line in cells) for column in range(len(_SHOWN))]
        for line in cells:
            padded = (
                cell.ljust(width) if name in _TEXTS else cell.rjust(width)
                for name, cell, width in zip(_SHOWN, line, widths, strict=True)
            )
            lines.append(f"  {'  '.join(padded)}".rstrip())
    return lines


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).split())


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= KEPT_REPORTS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {KEPT_REPORTS}")
    return int(text)
