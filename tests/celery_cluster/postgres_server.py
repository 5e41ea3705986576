"""Debian's PostgreSQL on a free loopback port: Airflow's database. Nothing of it outlives the context."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from standalone import free_port

_WITHIN_SECONDS = 60
_OTHER_USER = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""


class PostgresServer:
    """A running ``postgres`` with one empty database. A context manager."""

    def __init__(self) -> None:
        self._port = free_port()
        self.address = f"postgres@127.0.0.1:{self._port}/airflow"
        self._programs = _newest_programs()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": _OTHER_USER, "group": _OTHER_USER, "extra_groups": []}

    def __enter__(self) -> Self:
        # Not below pytest's folders: those are readable by root alone.
        self._folder = Path(tempfile.mkdtemp(prefix="cluster-postgres-"))
        if self._as:
            shutil.chown(self._folder, _OTHER_USER, _OTHER_USER)
        place = self._folder / "database"
        self._run("initdb", "--pgdata", place, "--username", "postgres", "--auth", "trust", "--no-sync")
        # What a crash would lose is not missed here.
        quick = ["-c", "fsync=off", "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        self._process = subprocess.Popen(  # noqa: S603 - Debian's own
            [self._programs / "postgres", "-D", place, "-h", "127.0.0.1", "-p", str(self._port), *quick],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        try:
            self._wait_until_ready()
            self._run("createdb", *self._there(), "airflow")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # "Fast shutdown": connections are cut.
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        shutil.rmtree(self._folder)

    def _there(self) -> list[str]:
        return ["--host", "127.0.0.1", "--port", str(self._port), "--username", "postgres"]

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(  # noqa: S603 - Debian's own
            [self._programs / program, *arguments], check=True, capture_output=True, cwd=self._folder, **self._as
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while True:
            try:
                self._run("pg_isready", *self._there())
            except subprocess.CalledProcessError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("postgres did not start") from None
                time.sleep(0.1)
            else:
                return


def _newest_programs() -> Path:
    """Return where Debian keeps the server's programs: a folder a version, none of them in the PATH."""
    found = list(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return max(found, key=lambda program: int(program.parts[-3])).parent
