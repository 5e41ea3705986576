"""A Python that has imported Airflow and forks for each program, because every start of Airflow takes seconds.

``run`` and ``start`` take the arguments that ``python`` takes: ``-m MODULE``, ``-c PROGRAM`` or a file. A program has a
process, an environment, output and an exit status of its own. It imports this package by itself; what the imports of
Airflow printed comes first in its output. One program runs at a time. What it has in common with others, and is not of
this package, it can have done ``first``, once, before the server forks.

The server is this file, started as a program. It ends when the tests' process does.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

# Neither this package nor what reads its configuration once: Airflow's plugins, listeners and metrics.
_IMPORTED = ("airflow.providers.common.compat.sdk", "airflow.models.dagbag", "aiohttp", "duckdb", "requests", "s3fs")

IN_PROCESS_API = """
import asyncio

try:
    import httpx
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from sqlalchemy.orm import configure_mappers
except ImportError:
    pass
else:
    configure_mappers()

    async def ask():
        transport = httpx.ASGITransport(app=in_process_api_server().app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            assert (await client.get("/no-such-page")).status_code == 404

    asyncio.run(ask())
"""
"""A ``first`` for programs that run a DAG: Airflow 3's API makes its routes at its first request, in seconds."""

# A test may change its environment before the server starts.
_ENVIRONMENT = dict(os.environ)


class WarmProgram:
    """A program that runs."""

    def __init__(self, responses: IO[str], output: Path, errors: Path) -> None:
        self._responses, self._output, self._errors = responses, output, errors
        self.pid = self._next_number()
        self._ended: subprocess.CompletedProcess[str] | None = None

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end; return its exit status, negative for a signal, and what it printed."""
        if self._ended is None:
            status = self._next_number()
            self._ended = subprocess.CompletedProcess(
                [], status, self._output.read_text(errors="replace"), self._errors.read_text(errors="replace")
            )
        return self._ended

    def kill(self) -> None:
        """End it where it has not ended, because its test has, and wait for its end."""
        if self._ended is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        return Path(f"/proc/{self.pid}").exists()

    def _next_number(self) -> int:
        response = self._responses.readline()
        assert response, self._output.with_name("imports-errors").read_text()
        return int(response)


class WarmPython:
    """The server, as the tests see it."""

    def __init__(self, *imported: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-python-")
        self._server = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", __file__, self._folder.name, *(imported or _IMPORTED)],
            env=_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running: WarmProgram | None = None
        atexit.register(self.close)

    def close(self) -> None:
        """End the server, and the program that runs."""
        if self._running is not None:
            self._running.kill()
        self._server.terminate()
        self._server.wait(10)
        self._folder.cleanup()

    def start(
        self, *arguments: str, environment: dict[str, str] | None = None, given: bytes = b"", first: str = ""
    ) -> WarmProgram:
        """Start a program in the environment of the tests, or in one that is given, with its standard input."""
        if self._running is not None:
            self._running.kill()
        folder = Path(self._folder.name)
        (folder / "given").write_bytes(given)
        request = {
            "arguments": arguments,
            "environment": dict(os.environ) if environment is None else environment,
            "cwd": str(Path.cwd()),
            "first": first,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        self._running = WarmProgram(self._server.stdout, folder / "output", folder / "errors")
        return self._running

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None, given: bytes = b"", first: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return self.start(*arguments, environment=environment, given=given, first=first).wait()


@functools.cache
def warm_python() -> WarmPython:
    """Return the one of this process."""
    return WarmPython()


# The server --------------------------------------------------------------------------------------------------------


def _redirect(descriptor: int, file: Path, flags: int) -> None:
    opened = os.open(file, flags, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)


def _serve(folder: Path, imported: list[str]) -> dict[str, Any]:
    """Fork for each request; return the request in the process that is to run it."""
    writes = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.dup(1), "w") as responses:
        _redirect(1, folder / "imports-output", writes)
        _redirect(2, folder / "imports-errors", writes)
        for name in imported:
            importlib.import_module(name)
        done = {""}
        for line in sys.stdin:
            request: dict[str, Any] = json.loads(line)
            if request["first"] not in done:
                done.add(request["first"])
                exec(request["first"], {})  # noqa: S102 - our own programs
            sys.stdout.flush()
            sys.stderr.flush()
            # A fork loses the others.
            assert threading.active_count() == 1, threading.enumerate()
            gc.freeze()
            pid = os.fork()
            if pid == 0:
                break
            print(pid, file=responses, flush=True)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=responses, flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            sys.exit()
    for descriptor, name in ((1, "output"), (2, "errors")):
        _redirect(descriptor, folder / name, writes)
        os.write(descriptor, (folder / f"imports-{name}").read_bytes())
    _redirect(0, folder / "given", os.O_RDONLY)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the old one has read ahead
    return request


def _run_program(request: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    # It is in the environment.
    tempfile.tempdir = None
    first, *others = request["arguments"]
    if first == "-m":
        sys.path.insert(0, request["cwd"])
        sys.argv = [first, *others[1:]]
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path.insert(0, "")
        sys.argv = [first, *others[1:]]
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(others[0], vars(main))  # noqa: S102 - our own programs
    else:
        sys.path.insert(0, str(Path(first).parent))
        sys.argv = [first, *others]
        runpy.run_path(first, run_name="__main__")


def _status_of(request: dict[str, Any]) -> int:
    try:
        _run_program(request)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - so does the interpreter
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    status = _status_of(_serve(Path(sys.argv[1]), sys.argv[2:]))
    # As the interpreter ends, but for the seconds in which it takes every module apart.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
