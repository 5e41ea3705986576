"""A server on loopback that sends canned responses and keeps every request as it came."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from types import TracebackType


@dataclass(frozen=True)
class CannedResponse:
    """A response to send."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_length: int | None = None
    """Announce another length than the body's."""
    raw: bytes | None = None
    """Send these bytes instead of a whole response, and close the connection."""


def unannounced(body: bytes, status: int = 200) -> CannedResponse:
    """Return a response of HTTP/1.0 that does not say where its body ends."""
    return CannedResponse(raw=b"HTTP/1.0 %d X\r\nContent-Type: application/json\r\n\r\n%b" % (status, body))


@dataclass(frozen=True)
class Came:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class RecordingServer:
    """Sends the responses in their order, and the last one again and again."""

    def __init__(self, *responses: CannedResponse, tls: ssl.SSLContext | None = None) -> None:
        self.responses = list(responses) or [CannedResponse()]
        self.came: list[Came] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()

    def now(self) -> float:
        """Return the time of the header ``Date``."""
        return time.time()

    def _respond(self, came: Came) -> CannedResponse:
        self.came.append(came)
        return self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                response = server._respond(Came(self.command, self.path, headers, body))
                if response.raw is not None:
                    self.wfile.write(response.raw)
                    self.close_connection = True
                    return
                self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                length = len(response.body) if response.content_length is None else response.content_length
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(response.body)
                self.close_connection = length != len(response.body)

            do_GET = do_POST = do_CONNECT = _do  # noqa: N815 - http.server's own names

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(server.now() if timestamp is None else timestamp)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
