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
    options = _parser().parse_args(arguments)
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
    parser.add_argument("--proved", action="store_true", help="let each sync prove its write key at the Public API")
    return parser


def _members(text: str) -> int:
    members = int(text)
    if not 1 <= members <= 2_000_000:  # noqa: PLR2004 - the largest cohort that Amplitude exports
        raise argparse.ArgumentTypeError("from 1 to 2,000,000")
    return members


def _print_welcome(sandbox: Sandbox, *, proved: bool) -> None:
    print("A stand-in Amplitude and Segment. Set these connections for Airflow:\n")
    for name, value in sandbox.airflow_connections(proved=proved).items():
        print(f"export {name}='{value}'")
    print("\nCohorts:\n")
    for cohort in sandbox.amplitude.cohorts.values():
        of = "groups" if cohort.group_type != "User" else "users"
        archived = ", archived" if cohort.archived else ""
        print(f"  {cohort.cohort_id:<8}  {len(cohort.user_ids):>9,} {of:<6}  {cohort.name}{archived}")
    print(f"\nTo see what Segment believes, and to churn cohorts: {sandbox.url}/\nStop it with Ctrl-C.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
