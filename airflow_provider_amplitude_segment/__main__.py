"""Look after ledgers from a shell: ``python -m airflow_provider_amplitude_segment``.

    list                                       every ledger of the state path, and the commits one can go back to
    go-back LEDGER --to GENERATION             what was told since that commit is in doubt, and told again next time
    erase                                      users named on standard input, one a line, from all ledgers

Run it where Airflow runs, with its configuration and connections. No user ID is taken from, or printed on, the command
line.
"""

from __future__ import annotations

import argparse
import getpass
import os
import socket
import sys
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.clients.system_clock import SystemChance, SystemClock
from airflow_provider_amplitude_segment.core.erasure import erase_users
from airflow_provider_amplitude_segment.core.found_stream import find_streams
from airflow_provider_amplitude_segment.core.ledger import Ledger
from airflow_provider_amplitude_segment.core.restatement import go_back
from airflow_provider_amplitude_segment.core.stream import Run
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError, LedgerError
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.transfers.state_root import state_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.core.stream import Store, Stream


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 where it could not be done, or not everywhere."""
    options = _parser().parse_args(arguments)
    # Outside of a task, Airflow 3 reads its database for connections only where it takes itself for a server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        store = LedgerStore(open_state_root(state_place(options.state_path)))
        if options.command == "list":
            return _list(store)
        if options.command == "go-back":
            return _go_back(store, options.ledger, options.to)
        return _erase(store, _read_user_ids(sys.stdin.buffer.read()))
    except UnicodeDecodeError:
        print("The user IDs are not UTF-8. Nothing was erased.", file=sys.stderr)
        return 1
    except AmplitudeSegmentError as error:
        print(error, file=sys.stderr)
        return 1


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
    back.add_argument("--to", type=int, required=True, metavar="GENERATION", help="of a commit that list names")
    commands.add_parser("erase", help="users named on standard input, one a line, from all ledgers")
    return parser


def _list(store: Store) -> int:
    streams = find_streams(store)
    for stream in streams:
        print("\n".join([stream.folder, *_described(store, stream)]))
    return 0 if streams else _nothing_there(store)


def _nothing_there(store: Store) -> int:
    print(f"There is no ledger in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
    return 1


def _read_user_ids(content: bytes) -> list[str]:
    """Return the lines of a text, without the byte order mark that some programs begin it with."""
    return [line for line in content.decode("utf-8-sig").replace("\r\n", "\n").split("\n") if line.strip()]


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


def _go_back(store: Store, folder: str, to: int) -> int:
    stream = next((stream for stream in find_streams(store) if stream.folder == folder.strip("/")), None)
    if stream is None:
        print(f"There is no ledger {folder} in {store.locate('').rstrip('/')}. Nothing was changed.", file=sys.stderr)
        return 1
    with open_scratch() as scratch:
        restated = go_back(store, stream, to, _this_run(), SystemClock(), scratch)
    print(
        f"{stream.folder}: went back to commit {to} as commit {restated.generation}; {restated.in_doubt:,} of "
        f"{restated.pairs:,} told users are in doubt and told again by the next sync"
    )
    if not restated.all_known:
        print("A later file cannot be read: users whom only it names are not told false by any sync.", file=sys.stderr)
    return 0


def _erase(store: Store, user_ids: list[str]) -> int:
    failed = 0
    streams = find_streams(store)
    if not streams:
        return _nothing_there(store)
    for stream in streams:
        try:
            with open_scratch() as scratch:
                erased = erase_users(store, stream, user_ids, _this_run(), SystemClock(), scratch)
        except AmplitudeSegmentError as error:
            failed += 1
            print(f"{stream.folder}: NOT erased: {error}", file=sys.stderr)
            continue
        if erased.generation is None:
            print(f"{stream.folder}: not named, {erased.files} files written again")
        else:
            print(
                f"{stream.folder}: {erased.pairs:,} told traits erased, commit {erased.generation} is the only one "
                f"left, {erased.files} files written again"
            )
    return 1 if failed else 0


def _this_run() -> Run:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container's user need not have a name.
        user = f"user {os.getuid()}"
    label = f"python -m airflow_provider_amplitude_segment by {user} on {socket.gethostname()}"
    return Run(label, SystemChance().token())


if __name__ == "__main__":
    sys.exit(main())
