"""Start a sandbox from the command line, and print the connections for Airflow."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.sandbox import Sandbox, sample_cohorts

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return 0 then, and 1 if the sandbox did not start."""
    options = _parsed(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    cohorts = sample_cohorts(options.members)
    try:
        sandbox = Sandbox.start(cohorts=cohorts, port=options.port, host=options.host)
    except (ValueError, OSError) as error:
        print(f"The sandbox did not start on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    with sandbox:
        if options.cohort_files and not _write_files(sandbox, options):
            return 1
        _print_welcome(sandbox, proved=options.proved)
        stop.wait()
    print("The sandbox has stopped, and its data is deleted.", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_amplitude_segment.sandbox",
        description="A stand-in Amplitude and Segment on loopback, with a few cohorts to sync.",
    )
    parser.add_argument("--port", type=int, default=8765, help="0 chooses a free port (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    parser.add_argument(
        "--members", type=_members, default=100_000, help="size of the largest cohort (default: %(default)s)"
    )
    parser.add_argument(
        "--cohort-files", metavar="PLACE", help="a folder, or s3://bucket/path, for files as Amplitude's S3 destination"
    )
    parser.add_argument(
        "--cohort-files-every",
        type=_seconds,
        metavar="SECONDS",
        help="write a set of each cohort now and each so many seconds (default: only on POST /sandbox/cohort-files)",
    )
    parser.add_argument("--proved", action="store_true", help="let each sync prove its write key at the Public API")
    return parser


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.cohort_files_every is not None and not options.cohort_files:
        parser.error("--cohort-files-every needs --cohort-files")
    return options


def _members(text: str) -> int:
    members = int(text)
    if not 1 <= members <= 2_000_000:  # noqa: PLR2004 - the largest cohort that Amplitude exports
        raise argparse.ArgumentTypeError("from 1 to 2,000,000")
    return members


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError("seconds above 0")
    return seconds


def _write_files(sandbox: Sandbox, options: argparse.Namespace) -> bool:
    """Begin to write cohort files; return whether their place can be used."""
    try:
        sandbox.cohort_files.write_to(options.cohort_files)
    except (ImportError, ValueError) as error:
        print(f"No cohort files can be written to {options.cohort_files}: {error}", file=sys.stderr)
        return False
    if options.cohort_files_every is not None:
        sandbox.write_files_every(options.cohort_files_every)
    return True


def _print_welcome(sandbox: Sandbox, *, proved: bool) -> None:
    print("A stand-in Amplitude and Segment. Set these connections for Airflow:\n")
    for name, value in sandbox.airflow_connections(proved=proved).items():
        print(f"export {name}='{value}'")
    print("\nCohorts:\n")
    for cohort in sandbox.amplitude.cohorts.values():
        of = "groups" if cohort.group_type != "User" else "users"
        archived = ", archived" if cohort.archived else ""
        print(f"  {cohort.cohort_id:<8}  {len(cohort.user_ids):>9,} {of:<6}  {cohort.name}{archived}")
    if place := sandbox.cohort_files.target:
        print(f"\nCohort files: {place}, project {sandbox.cohort_files.project_id}")
    print(f"\nTo see what Segment believes, and to churn cohorts: {sandbox.url}/\nStop it with Ctrl-C.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
