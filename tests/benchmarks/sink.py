"""The sink: a Segment that answers as fast as it reads, and an Amplitude that hands out a file.

One process, one thread a connection; run as ``python -m benchmarks.sink``, it prints its port. It checks nothing of
what it gets: it counts. ``/figures``, ``/reset`` and ``/cohort`` are the harness's.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tally import MESSAGE_TYPE, Tally

if TYPE_CHECKING:
    from collections.abc import Mapping

COHORT_ID = "bench"
COHORT_NAME = "Benchmark"

_LONGEST_REQUEST = 4 << 20
_REQUEST_ID = "r1"


class Sink:
    """Serves any number of connections until the process ends."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._export: Path | None = None
        self._size: int | None = None
        # With the protocol named, so that accepted sockets have it, too.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        with connection:
            try:
                self._answer_all(connection)
            except OSError:
                return

    def _answer_all(self, connection: socket.socket) -> None:
        # That of the measurement it belongs to: a program that has ended may leave requests that are still to be read.
        tally = self.tally
        buffer = bytearray(_LONGEST_REQUEST)
        view = memoryview(buffer)
        while True:
            # Nobody on loopback sends a second request before the answer to the first, so each begins at 0.
            held = 0
            while (end := buffer.find(b"\r\n\r\n", 0, held)) < 0:
                if not (got := connection.recv_into(view[held:])):
                    return
                held += got
            first, headers = _read_head(bytes(view[:end]))
            start, length = end + 4, int(headers.get("content-length", "0"))
            while held < start + length:
                if not (got := connection.recv_into(view[held:])):
                    return
                held += got
            if first.startswith("POST /v1/"):
                _count(tally, headers, buffer, start, start + length)
                connection.sendall(_SUCCESS)
            else:
                self._answer(connection, first, bytes(view[start : start + length]))

    def _answer(self, connection: socket.socket, first: str, body: bytes) -> None:
        path = first.split(" ")[1].partition("?")[0]
        if path == "/api/3/cohorts":
            cohort = {"id": COHORT_ID, "name": COHORT_NAME, "appId": 1, "size": self._size}
            connection.sendall(_response(200, {"cohorts": [cohort]}))
        elif path == f"/api/5/cohorts/request/{COHORT_ID}":
            connection.sendall(_response(202, {"request_id": _REQUEST_ID, "cohort_id": COHORT_ID}))
        elif path == f"/api/5/cohorts/request-status/{_REQUEST_ID}":
            answer = {"request_id": _REQUEST_ID, "cohort_id": COHORT_ID, "async_status": "JOB COMPLETED"}
            connection.sendall(_response(200, answer))
        elif path == f"/api/5/cohorts/request/{_REQUEST_ID}/file" and self._export:
            _send_file(connection, self._export)
        elif path == "/figures":
            connection.sendall(_response(200, self.tally.figures()))
        elif path == "/reset":
            self.tally = Tally()
            connection.sendall(_response(200, {}))
        elif path == "/cohort":
            order = json.loads(body)
            self._export = Path(order["file"]) if order["file"] else None
            self._size = order["size"]
            connection.sendall(_response(200, {}))
        else:
            connection.sendall(_response(404, {}))


def _count(tally: Tally, headers: Mapping[str, str], buffer: bytearray, start: int, end: int) -> None:
    moment = time.monotonic()
    if headers.get("content-encoding") == "gzip":
        identifies = gzip.decompress(bytes(buffer[start:end])).count(MESSAGE_TYPE)
    else:
        identifies = buffer.count(MESSAGE_TYPE, start, end)
    tally.add(headers.get("authorization", ""), moment, identifies, end - start)


def _read_head(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in headers}


def _response(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_SUCCESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + b'{"success":true}'


def _send_file(connection: socket.socket, path: Path) -> None:
    size = path.stat().st_size
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode())
    with path.open("rb") as file:
        connection.sendfile(file)


def main() -> int:
    """Serve until the one who started this closes standard input."""
    sink = Sink()
    print(sink.port, flush=True)
    threading.Thread(target=sink.serve, daemon=True).start()
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
