"""Look after ledgers from a shell: ``python -m airflow_provider_amplitude_segment``.

    list                                       every ledger of the state path, and the commits one can go back to
    go-back LEDGER --to GENERATION             what was told since that commit is in doubt, and told again next time
    erase                                      users named on standard input, from all ledgers: a CSV file with a column
                                               user_id, as Amplitude exports it, or one ID a line

Run it where Airflow runs, with its configuration and connections. No user ID is taken from, or printed on, the command
line.
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
    """Run one command; return 0, or 1 where it could not be done, or not everywhere."""
    options = _parser().parse_args(arguments)
    # Outside of a task, Airflow 3 reads its database for connections only where it takes itself for a server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        with vendor_logs_at_warning():
            return _run(options)
    except AmplitudeSegmentError as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    store = LedgerStore(open_state_root(state_place(options.state_path)))
    require_mark(store)
    if options.command == "list":
        return _list(store)
    if options.command == "go-back":
        return _roll_back(store, options.ledger, options.to)
    return _erase(store, read_user_list(sys.stdin.buffer.read()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_amplitude_segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state-path", help="as the operator's; else [amplitude_segment] state_path")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every ledger, and the commits one can go back to")
    back = commands.add_parser("go-back", help="everything told since a commit is in doubt, and told again next time")
    back.add_argument("ledger", help="<app id>/<cohort id>/<destination>, as list names it")
    back.add_argument("--to", type=_generation, required=True, metavar="GENERATION", help="of a commit that list names")
    commands.add_parser("erase", help="users named on standard input, a CSV file or one ID a line, from all ledgers")
    return parser


def _generation(text: str) -> int:
    """Read a generation as ``list`` prints it; ``int`` alone would take ``4_1`` for 41."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a commit")
    return int(text)


def _list(store: Store) -> int:
    streams = find_streams(store, _say)
    for stream in streams:
        print("\n".join([stream.folder, *_described(store, stream)]))
    return 0 if streams else _nothing_there(store)


def _say(passed: PassedOver) -> None:
    print(passed, file=sys.stderr)


def _nothing_there(store: Store) -> int:
    print(f"There is no ledger in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
    return 1


def _described(store: Store, stream: Stream) -> Iterator[str]:
    ledger = Ledger(store, stream.folder)
    numbers = ledger.commits()
    newest = ledger.newest_number()
    if newest not in numbers:
        yield f"  plan {newest}: not told to its end" if newest else "  nothing was ever told"
    for number in reversed(numbers):
        try:
            commit = ledger.commit(number)
        except LedgerError as error:
            yield f"  commit {number}: {error}"
            continue
        name = f"{number} (newest)" if number == newest else f"{number}"
        yield f"  commit {name}: {commit.timestamp}, connection {commit.segment_conn_id}, trait {commit.trait!r}"


def _roll_back(store: Store, folder: str, to: int) -> int:
    stream = find_stream(store, folder, _say)
    if stream is None:
        print(f"There is no ledger {folder} in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
        return 1
    with open_scratch() as scratch:
        restated = roll_back(MaintenancePorts(store, _this_run(), SystemClock(), scratch), stream, to)
    print(
        f"{stream.folder}: went back to commit {to} as commit {restated.generation}; {restated.in_doubt:,} of "
        f"{restated.pairs:,} told users are in doubt and told again by the next sync"
    )
    if not restated.all_known:
        print("A later file cannot be read: users whom only it names are not told false by any sync.", file=sys.stderr)
    return 0


def _erase(store: Store, users: UserList) -> int:
    passed: list[PassedOver] = []
    streams = find_streams(store, passed.append)
    copies = list(find_marked_copies(store, passed.append))
    _say_what_was_read(users)
    erased = [_erase_from(store, stream, users.user_ids) for stream in streams]
    found = {user_id for done in erased if done for user_id in done.users}
    where = f"{sum(bool(done and done.users) for done in erased):,} of {len(streams):,} ledgers"
    print(f"User IDs asked for: {len(users.user_ids):,}; found: {len(found):,}, in {where}.")
    for folder in passed:
        effect = " NOT erased: what it holds was not looked into." if folder.may_be_ledger else ""
        print(f"{folder}{effect}", file=sys.stderr)
    for copy in copies:
        print(
            f"{store.locate(copy)} has a ledger's entries, and no ledger has a folder of this name: it is a copy. NOT "
            "erased: what it holds was not looked into. Take it away by hand, or move it to where it was copied from "
            "and erase again.",
            file=sys.stderr,
        )
    if not streams:
        return _nothing_there(store)
    is_done = (
        not copies
        and all(done and not done.left for done in erased)
        and not any(folder.may_be_ledger for folder in passed)
    )
    return 0 if is_done else 1


def _say_what_was_read(users: UserList) -> None:
    form = "the column user_id of a CSV file" if users.is_csv else "one ID a line, without a header"
    blanks = f"; {users.blanks:,} rows without an ID were left out" if users.blanks else ""
    print(f"Read from standard input: {form}{blanks}.")
    if users.odd:
        print(
            f"Of these IDs, {users.odd:,} begin or end with a blank or a quotation mark, or hold a comma, a semicolon "
            "or a tab. Each was taken as its line has it. Where that is not meant, give a CSV file with the header "
            "user_id.",
            file=sys.stderr,
        )


def _erase_from(store: Store, stream: Stream, user_ids: Sequence[str]) -> Erased | None:
    """Erase users from one ledger and say so; return ``None`` where that failed."""
    try:
        with open_scratch() as scratch:
            erased = erase_users(MaintenancePorts(store, _this_run(), SystemClock(), scratch), stream, user_ids)
    except AmplitudeSegmentError as error:
        print(f"{stream.folder}: NOT erased: {error}", file=sys.stderr)
        return None
    if erased.generation is None:
        print(f"{stream.folder}: not named, {erased.files} files written again")
    else:
        print(
            f"{stream.folder}: {erased.pairs:,} told traits erased, commit {erased.generation} is the only one "
            f"left, {erased.files} files written again"
        )
    for left in erased.left:
        print(f"{left}. It was left as it is: where it names an erased user, take it away by hand.", file=sys.stderr)
    return erased


def _this_run() -> Run:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        user = f"user {os.getuid()}"
    label = f"python -m airflow_provider_amplitude_segment by {user} on {socket.gethostname()}"
    return Run(label, SystemRandomSource().token())


if __name__ == "__main__":
    sys.exit(main())
