"""Debian's Redis on a free loopback port: Celery's queue. Nothing of it outlives the context."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from typing import Self

from standalone import free_port

_WITHIN_SECONDS = 30


class RedisServer:
    """A running ``redis-server`` that saves nothing. A context manager."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="cluster-redis-")
        where = ["--bind", "127.0.0.1", "--port", str(self._port), "--dir", self._folder]
        self._process = subprocess.Popen(  # noqa: S603 - Debian's own
            ["redis-server", *where, "--save", "", "--appendonly", "no"],  # noqa: S607 - it is in the PATH
            stdout=subprocess.DEVNULL,
        )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._folder)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), 5) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(100) == b"+PONG\r\n":
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.1)
