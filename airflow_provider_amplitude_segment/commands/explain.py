"""``explain``: say why the user on standard input was, or was not, sent.

No line that it prints has the user ID.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch
from airflow_provider_amplitude_segment.commands.standard_error import print_passed_over
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams_of_cohort
from airflow_provider_amplitude_segment.core.maintenance.explain import Question, explain_user, read_user_id

if TYPE_CHECKING:
    import argparse

    from airflow_provider_amplitude_segment.core.ledger.ledger_folder import PassedOver
    from airflow_provider_amplitude_segment.core.ledger.stream import Store


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Describe the command; return its parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "explain", help="say why the user on standard input was, or was not, sent"
    )
    parser.add_argument("--cohort", required=True, metavar="COHORT_ID", help="Amplitude's cohort ID")
    parser.add_argument("--app-id", help="the Amplitude project's number; default: all projects")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def run(store: Store, options: argparse.Namespace) -> int:
    """Print the answer of each destination; return 1 where one cannot be read."""
    user_id = read_user_id(sys.stdin.buffer.read())
    breaks = f", with {count} line breaks" if (count := len(user_id.splitlines()) - 1) else ""
    print(f"Read from standard input: one user ID of {len(user_id):,} characters{breaks}.", file=sys.stderr)
    passed: list[PassedOver] = []
    # As in __main__: logs do not belong between the lines of the answer.
    with redirect_stdout(sys.stderr), open_scratch() as scratch:
        streams = find_streams_of_cohort(store, options.cohort, options.app_id, passed.append)
        stories = explain_user(Question(store, scratch, user_id), streams)
    if options.json:
        print(json.dumps({"cohort_id": options.cohort, "destinations": [s.as_dict() for s in stories]}, indent=1))
    else:
        print("\n".join(line for story in stories for line in story.lines()))
    for folder in passed:
        print_passed_over(folder)
    return 1 if passed or any(story.error for story in stories) else 0
