"""A StatsD that remembers, on a UDP port of the loopback interface."""

from __future__ import annotations

import contextlib
import socket
from typing import Self


class StatsD:
    """Receives until it is read.

    >>> with StatsD() as statsd:
    ...     with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    ...         _ = client.sendto(b"airflow.syncs:1|c", ("127.0.0.1", statsd.port))
    ...     statsd.metrics()
    {'airflow.syncs': '1|c'}
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A task's metrics wait here until somebody reads them.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def metrics(self) -> dict[str, str]:
        """Return what came since the last question, by name with tags; of one name the last."""
        found = {}
        with contextlib.suppress(TimeoutError):
            while True:
                for line in self._socket.recv(65_536).decode().splitlines():
                    name, _, value = line.partition(":")
                    found[name] = value
        return found
