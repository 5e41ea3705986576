"""``rollback``: return a ledger to a commit."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock
from airflow_provider_amplitude_segment.commands.standard_error import print_passed_over
from airflow_provider_amplitude_segment.commands.this_run import this_run
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_stream
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Store


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Describe the command; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "rollback", help="return a ledger to a commit; the next sync sends all users changed since again"
    )
    parser.add_argument("ledger", help="<app id>/<cohort id>/<destination>, as list prints it")
    parser.add_argument(
        "--to", type=_generation, required=True, metavar="GENERATION", help="of a commit, as list prints it"
    )
    return parser


def run(store: Store, options: argparse.Namespace) -> int:
    """Roll back, and print the outcome; return 1 where there is no such ledger."""
    folder, to = options.ledger, options.to
    stream = find_stream(store, folder, print_passed_over)
    if stream is None:
        print(f"There is no ledger {folder} in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
        return 1
    with open_scratch() as scratch:
        result = roll_back(MaintenancePorts(store, this_run(), SystemClock(), scratch), stream, to)
    print(
        f"{stream.folder}: rolled back to commit {to} as commit {result.generation}. {result.in_doubt:,} of "
        f"{result.pairs:,} users are in doubt, and the next sync sends them again."
    )
    if not result.all_known:
        print("A later file cannot be read. Users named only in that file are never sent false.", file=sys.stderr)
    return 0


def _generation(text: str) -> int:
    """Parse a generation as ``list`` prints it; ``int`` alone would read ``4_1`` as 41."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no generation of a commit")
    return int(text)
