"""The sink in a process of its own, as the harness steers it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.request import ProxyHandler, Request, build_opener

from benchmarks.subject import child_environment

if TYPE_CHECKING:
    from pathlib import Path

WRITE_KEY = "benchmark-write-key"


@dataclass(frozen=True)
class Arrivals:
    """What reached the sink since it was last reset.

    Attributes:
        identifies: messages counted.
        requests: batches they came in.
        wire_bytes: of all bodies.
        each: for each request, when it was there, its Authorization header, and its identifies.
    """

    identifies: int
    requests: int
    wire_bytes: int
    each: list[tuple[float, str, int]]


class SinkProcess:
    """A context manager: starts the sink, and ends it on leaving."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sink"],
            env=child_environment({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        # No proxy of the environment's stands before loopback.
        self._opener = build_opener(ProxyHandler({}))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def reset(self) -> None:
        self._ask("/reset")

    def hand_out(self, export_file: Path | None, size: int | None = None) -> None:
        """Make a CSV the file of every export from now on, and list the cohort with a size."""
        self._ask("/cohort", {"file": export_file and str(export_file), "size": size})

    def arrivals(self) -> Arrivals:
        figures = self._ask("/figures")
        each = [(moment, key, count) for moment, key, count in figures["arrivals"]]
        return Arrivals(figures["identifies"], figures["requests"], figures["wire_bytes"], each)

    def connections(self, **segment: dict[str, str]) -> dict[str, str]:
        """Return environment variables that make Airflow's connections.

        Args:
            segment: by connection ID, what stands in Extra; ``segment_default`` where none is named.
        """
        amplitude = {"conn_type": "amplitude", "login": "api-key", "password": "secret-key", "host": self.url}
        named = segment or {"segment_default": {}}
        connections: dict[str, dict[str, Any]] = {"amplitude_default": amplitude}
        for number, (name, extra) in enumerate(named.items()):
            key = f"{WRITE_KEY}-{number}"
            connections[name] = {"conn_type": "segmentio", "host": self.url, "password": key, "extra": extra}
        return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()}

    def _ask(self, path: str, content: object = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        with self._opener.open(Request(f"{self.url}{path}", data=body), timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)
