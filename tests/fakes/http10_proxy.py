"""A proxy that speaks HTTP/1.0: it hands answers on uncompressed, without a length, and closes the connection."""

import ssl
import threading
from http.client import HTTPConnection
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable


class Http10Proxy:
    """In front of one server; ``hand_on`` says what becomes of a path's body."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self.hand_on: Callable[[str, bytes], bytes] = lambda _path, body: body
        self.keeps_lengths_of_heads = True
        self._server = ThreadingTCPServer(("127.0.0.1", 0), self._handler(urlsplit(url).netloc))
        self._server.daemon_threads = True
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, host: str) -> type[StreamRequestHandler]:
        proxy = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                method, path, _ = self.rfile.readline().decode().split()
                lines = iter(lambda: self.rfile.readline().decode().strip(), "")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                if headers.pop("expect", None):
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = self.rfile.read(int(headers.get("content-length", 0)))
                headers.pop("accept-encoding", None)
                behind = HTTPConnection(host, timeout=10)
                behind.request(method, path, body, headers)
                answer = behind.getresponse()
                content = answer.read()
                if method != "HEAD":
                    content = proxy.hand_on(path, content)
                dropped = {"transfer-encoding", "connection", "content-length"}
                if method == "HEAD" and proxy.keeps_lengths_of_heads:
                    dropped.remove("content-length")
                head = [f"HTTP/1.0 {answer.status} {answer.reason}"]
                head += [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in dropped]
                self.wfile.write("\r\n".join([*head, "", ""]).encode() + content)
                behind.close()

        return Handler
