"""``list``: print every ledger of the state path, with its commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.commands.standard_error import no_ledger, print_passed_over
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Describe the command; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser("list", help="print every ledger with its commits")
    return parser


def run(store: Store, _options: argparse.Namespace) -> int:
    """Print the ledgers; return 1 where there is none."""
    streams = find_streams(store, print_passed_over)
    for stream in streams:
        print("\n".join([stream.folder, *_describe(store, stream)]))
    return 0 if streams else no_ledger(store)


def _describe(store: Store, stream: Stream) -> Iterator[str]:
    ledger = Ledger(store, stream.folder)
    numbers = ledger.commits()
    newest = ledger.newest_number()
    if newest not in numbers:
        yield f"  plan {newest}: not delivered to the end" if newest else "  nothing was sent yet"
    for number in reversed(numbers):
        try:
            commit = ledger.commit(number)
        except LedgerError as error:
            yield f"  commit {number}: {error.summary}"
            continue
        name = f"{number} (newest)" if number == newest else f"{number}"
        yield f"  commit {name}: {commit.timestamp}, connection {commit.segment_conn_id}, trait {commit.trait!r}"
