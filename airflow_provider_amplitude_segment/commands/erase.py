"""``erase``: erase the users on standard input from all ledgers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock
from airflow_provider_amplitude_segment.commands.standard_error import no_ledger
from airflow_provider_amplitude_segment.commands.this_run import this_run
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.marked_copies import find_marked_copies
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.user_list import read_user_list
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.maintenance.erasure import Erased
    from airflow_provider_amplitude_segment.core.maintenance.user_list import UserList


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Describe the command; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "erase", help="erase the users on standard input (a CSV file, or one ID a line) from all ledgers"
    )
    return parser


def run(store: Store, _options: argparse.Namespace) -> int:
    """Erase, and print the outcome; return 1 where something may still name a user."""
    users = read_user_list(sys.stdin.buffer.read())
    passed: list[PassedOver] = []
    streams = find_streams(store, passed.append)
    copies = list(find_marked_copies(store, passed.append))
    _print_user_list(users)
    erased = [_erase_from(store, stream, users.user_ids) for stream in streams]
    found = {user_id for done in erased if done for user_id in done.users}
    where = f"{sum(bool(done and done.users) for done in erased):,} of {len(streams):,} ledgers"
    print(f"User IDs to erase: {len(users.user_ids):,}; found: {len(found):,}, in {where}.")
    for folder in passed:
        effect = " NOT erased: its content was not read." if folder.may_be_ledger else ""
        print(f"{folder}{effect}", file=sys.stderr)
    for copy in copies:
        print(
            f"{store.locate(copy)} has a ledger's entries, and no ledger has a folder of this name: it is a copy. NOT "
            "erased: its content was not read. Delete it, or move it to where it was copied from and erase again.",
            file=sys.stderr,
        )
    if not streams:
        return no_ledger(store)
    is_done = (
        not copies
        and all(done and not done.left for done in erased)
        and not any(folder.may_be_ledger for folder in passed)
    )
    return 0 if is_done else 1


def _print_user_list(users: UserList) -> None:
    form = "the column user_id of a CSV file" if users.is_csv else "one ID a line, without a header"
    blanks = f"; {users.blanks:,} rows without an ID were skipped" if users.blanks else ""
    print(f"Read from standard input: {form}{blanks}.")
    if users.odd:
        print(
            f"Of these IDs, {users.odd:,} begin or end with a blank or a quotation mark, or hold a comma, a semicolon "
            "or a tab. Each whole line was used as an ID. If that is wrong, give a CSV file with the header user_id.",
            file=sys.stderr,
        )


def _erase_from(store: Store, stream: Stream, user_ids: Sequence[str]) -> Erased | None:
    """Erase users from one ledger and print the outcome; return ``None`` where that failed."""
    try:
        with open_scratch() as scratch:
            erased = erase_users(MaintenancePorts(store, this_run(), SystemClock(), scratch), stream, user_ids)
    except AmplitudeSegmentError as error:
        print(f"{stream.folder}: NOT erased: {error.summary}", file=sys.stderr)
        return None
    if erased.generation is None:
        print(f"{stream.folder}: its state names none of the users, {erased.files} files written again")
    else:
        print(
            f"{stream.folder}: {erased.pairs:,} traits erased from the state, commit {erased.generation} is the "
            f"only one left, {erased.files} files written again"
        )
    for left in erased.left:
        print(f"{left}. It was not changed. If it names an erased user, delete it.", file=sys.stderr)
    return erased
