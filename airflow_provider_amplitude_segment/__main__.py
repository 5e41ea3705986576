"""Maintain ledgers from a shell: ``python -m airflow_provider_amplitude_segment``.

    list                               print every ledger of the state path, with its commits
    history --cohort COHORT_ID         print a cohort's syncs with their counts: members, entered, exited, rejected
    explain --cohort COHORT_ID         say why a user was, or was not, sent; standard input is the user ID, and one
                                       line break at its end does not count
    rollback LEDGER --to GENERATION    return a ledger to a commit; the next sync sends all users changed since again
    erase                              erase users from all ledgers; standard input is a CSV file with a column
                                       user_id, as Amplitude exports it, or has one ID a line

Run it where Airflow runs, with its configuration and connections. The command line neither takes nor prints a user ID.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning
from airflow_provider_amplitude_segment.commands import erase, explain, history, list_ledgers, rollback
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root
from airflow_provider_amplitude_segment.task.state_path import state_place

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATE_PATH_HELP = "state_path of the operator; default: [amplitude_segment] state_path"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 where it failed or was not completed."""
    options = _parser().parse_args(arguments)
    # Outside of a task, Airflow 3 reads connections from its database only in the context of a server.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    try:
        with vendor_logs_at_warning():
            # Airflow and the library of the store log to standard output, where a program reads JSON or CSV.
            with redirect_stdout(sys.stderr):
                store = LedgerStore(open_state_root(state_place(options.state_path)))
                require_mark(store)
            return int(options.run(store, options))
    except AmplitudeSegmentError as error:
        print(error.summary, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_amplitude_segment",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state-path", help=_STATE_PATH_HELP)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in (list_ledgers, history, explain, rollback, erase):
        described = command.add_parser(commands)
        described.set_defaults(run=command.run)
        # Behind the command too; what stands before it is kept where it is absent here.
        described.add_argument("--state-path", default=argparse.SUPPRESS, help=_STATE_PATH_HELP)
    return parser


if __name__ == "__main__":
    sys.exit(main())
