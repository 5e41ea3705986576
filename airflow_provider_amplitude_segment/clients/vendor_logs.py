"""The logs of the libraries that reach an object store: warnings and errors only, while a ledger is used."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Libraries below the file systems of Airflow's providers. At INFO Azure's writes some twenty lines for a request
# (azure.core.pipeline.policies.http_logging_policy), and a sync makes dozens of requests.
_VENDORS = (
    "adlfs",
    "aiobotocore",
    "aiohttp",
    "asyncssh",
    "azure",
    "boto3",
    "botocore",
    "fsspec",
    "gcsfs",
    "google",
    "msal",
    "paramiko",
    "s3fs",
    "s3transfer",
    "smbprotocol",
    "urllib3",
)


@contextmanager
def vendor_logs_at_warning() -> Iterator[None]:
    """Keep the vendors' loggers at ``WARNING`` inside of the context, and restore their levels after it.

    A logger with a level of its own keeps it, because a user chose it. If the effective level is ``DEBUG``, all loggers
    keep it. Levels belong to the process: use this only in a process that does nothing else at the same time.
    """
    changed = [logger for name in _VENDORS if _is_chatty(logger := logging.getLogger(name))]
    for logger in changed:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger in changed:
            logger.setLevel(logging.NOTSET)


def _is_chatty(logger: logging.Logger) -> bool:
    return logger.level == logging.NOTSET and logging.INFO <= logger.getEffectiveLevel() < logging.WARNING
