"""The run that a command is, for the claim that it takes and the commit that it writes."""

from __future__ import annotations

import getpass
import os
import socket

from airflow_provider_amplitude_segment.clients.system_clock import SystemRandomSource
from airflow_provider_amplitude_segment.core.ledger.stream import Run


def this_run() -> Run:
    """Return a new run, labelled with the user and the host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # The user of a container may have no name.
        user = f"user {os.getuid()}"
    label = f"python -m airflow_provider_amplitude_segment by {user} on {socket.gethostname()}"
    return Run(label, SystemRandomSource().token())
