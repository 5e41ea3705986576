"""Maintain ledgers from a shell: ``python -m airflow_provider_amplitude_segment``.

    list                               print every ledger of the state path, with its commits
    rollback LEDGER --to GENERATION    return a ledger to a commit; the next sync sends all users changed since again
    erase                              erase users from all ledgers; standard input is a CSV file with a column
                                       user_id, as Amplitude exports it, or has one ID a line

Run it where Airflow runs, with its configuration and connections. The command line neither takes nor prints a user ID.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import socket
import sys
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.clients.system_clock import SystemClock, SystemRandomSource
from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.core.ledger.stream import Run
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_stream, find_streams
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.marked_copies import find_marked_copies
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.core.maintenance.user_list import read_user_list
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, LedgerError
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.task.state_path import state_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver
    from airflow_provider_amplitude_segment.core.ledger.stream import Store, Stream
    from airflow_provider_amplitude_segment.core.maintenance.erasure import Erased
    from airflow_provider_amplitude_segment.core.maintenance.user_list import UserList


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 where it failed or was not completed."""
    options = _parser().parse_args(arguments)
    # Outside of a task, Airflow 3 reads connections from its database only in the context of a server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        with vendor_logs_at_warning():
            return _run(options)
    except AmplitudeSegmentError as error:
        print(error.summary, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    store = LedgerStore(open_state_root(state_place(options.state_path)))
    require_mark(store)
    if options.command == "list":
        return _list(store)
    if options.command == "rollback":
        return _roll_back(store, options.ledger, options.to)
    return _erase(store, read_user_list(sys.stdin.buffer.read()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_amplitude_segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state-path", help="state_path of the operator; default: [amplitude_segment] state_path")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print every ledger with its commits")
    rollback = commands.add_parser(
        "rollback", help="return a ledger to a commit; the next sync sends all users changed since again"
    )
    rollback.add_argument("ledger", help="<app id>/<cohort id>/<destination>, as list prints it")
    rollback.add_argument(
        "--to", type=_generation, required=True, metavar="GENERATION", help="of a commit, as list prints it"
    )
    commands.add_parser(
        "erase", help="erase the users on standard input (a CSV file, or one ID a line) from all ledgers"
    )
    return parser


def _generation(text: str) -> int:
    """Parse a generation as ``list`` prints it; ``int`` alone would read ``4_1`` as 41."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no generation of a commit")
    return int(text)


def _list(store: Store) -> int:
    streams = find_streams(store, _print_passed_over)
    for stream in streams:
        print("\n".join([stream.folder, *_describe(store, stream)]))
    return 0 if streams else _no_ledger(store)


def _print_passed_over(passed: PassedOver) -> None:
    print(passed, file=sys.stderr)


def _no_ledger(store: Store) -> int:
    print(f"There is no ledger in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
    return 1


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


def _roll_back(store: Store, folder: str, to: int) -> int:
    stream = find_stream(store, folder, _print_passed_over)
    if stream is None:
        print(f"There is no ledger {folder} in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
        return 1
    with open_scratch() as scratch:
        result = roll_back(MaintenancePorts(store, _this_run(), SystemClock(), scratch), stream, to)
    print(
        f"{stream.folder}: rolled back to commit {to} as commit {result.generation}. {result.in_doubt:,} of "
        f"{result.pairs:,} users are in doubt, and the next sync sends them again."
    )
    if not result.all_known:
        print("A later file cannot be read. Users named only in that file are never sent false.", file=sys.stderr)
    return 0


def _erase(store: Store, users: UserList) -> int:
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
        return _no_ledger(store)
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
            erased = erase_users(MaintenancePorts(store, _this_run(), SystemClock(), scratch), stream, user_ids)
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


def _this_run() -> Run:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # The user of a container may have no name.
        user = f"user {os.getuid()}"
    label = f"python -m airflow_provider_amplitude_segment by {user} on {socket.gethostname()}"
    return Run(label, SystemRandomSource().token())


if __name__ == "__main__":
    sys.exit(main())
