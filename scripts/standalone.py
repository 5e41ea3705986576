"""Run ``airflow standalone`` with SQLite, and call its API."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import requests
from memory_watch import MemoryWatch
from process_tree import ProcessTree

if TYPE_CHECKING:
    import psutil

_HEALTHY_WITHIN_SECONDS = 240
_RUN_WITHIN_SECONDS = 900
_CALL_WITHIN_SECONDS = 120
_BETWEEN_LOOKS_SECONDS = 0.2


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Standalone:
    """``airflow standalone`` with the DAGs of one folder; a context manager that stops all its processes."""

    _api = "/api/v2"
    _health = "/api/v2/monitor/health"
    _parts: tuple[str, ...] = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    _mark_for_good: ClassVar[dict[str, Any]] = {}
    _xcom_as_json = ""

    def __init__(self, home: Path, dags: Path, env: dict[str, str]) -> None:
        self.home = home
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        bin_folder = Path(sys.executable).parent
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            # standalone finds its parts in the PATH.
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # The default connections name real hosts.
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            **self._settings(port),
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def _settings(self, port: int) -> dict[str, str]:
        """Return the settings of this Airflow line."""
        return {
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            # One, because the four default workers of 3.0 miss one another's pings on a busy machine and are killed.
            "AIRFLOW__API__WORKERS": "1",
        }

    def __enter__(self) -> Self:
        """Start, and wait until all parts are healthy."""
        self.start()
        try:
            self._wait_until_healthy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        """Start, and do not wait; end with ``with``, as if this had not been called."""
        if self._process is not None:
            return
        self.home.mkdir(parents=True, exist_ok=True)
        # SQLite keeps the mode in the file. With it, no reader waits for a writer; Airflow 2 does not set it.
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
        with (self.home / "standalone.log").open("wb") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).parent / "airflow", "standalone"],
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        """Kill all processes, because an orderly end takes 10 s and leaves nothing that a caller reads."""
        if self._process is None:
            return
        self._tree().kill()

    def log_in(self, user: str, password: str) -> str:
        """Send all that follows as a user of the Simple auth manager, and return the user's token."""
        body = {"username": user, "password": password}
        token = str(self._call("POST", "/auth/token", body)[0].json()["access_token"])
        self._session.headers["Authorization"] = f"Bearer {token}"
        return token

    def restart(self) -> None:
        """Kill all processes, start again with the same database, and wait until all parts are healthy."""
        self.__exit__()
        self._process = None
        self._session.headers.pop("Authorization", None)
        self.start()
        self._wait_until_healthy()

    def wait_for_dags(self, *dag_ids: str) -> None:
        """Wait until the DAGs are parsed."""
        deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
        while not all(self._get(f"/dags/{dag_id}").ok for dag_id in dag_ids):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {dag_ids} were parsed; see {self.home / 'standalone.log'}")
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> None:
        """Trigger a run, unpause the DAG, and wait until none of its runs is queued or running."""
        self.start_run(dag_id, conf)
        self.wait_for_runs(dag_id)

    def wait_for_runs(self, dag_id: str) -> None:
        """Wait until none of the DAG's runs is queued or running."""
        deadline = time.monotonic() + _RUN_WITHIN_SECONDS
        while any(run["state"] in ("queued", "running") for run in self.runs(dag_id)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a run of {dag_id} did not end")
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def start_run(self, dag_id: str, conf: dict[str, Any], run_id: str | None = None) -> str:
        """Trigger a run, with a run ID or without, unpause the DAG, and return the run's ID."""
        # With an ID of its own, Airflow recognises a call that is repeated.
        run_id = run_id or f"manual__{secrets.token_hex(8)}"
        self._send("POST", f"/dags/{dag_id}/dagRuns", {**self._new_run(conf), "dag_run_id": run_id})
        # Only where it is paused, because each call that writes may wait for SQLite's lock.
        if self._get(f"/dags/{dag_id}").json()["is_paused"]:
            self._send("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        return run_id

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = _RUN_WITHIN_SECONDS) -> str:
        """Wait until a run has ended, and return its state."""
        deadline = time.monotonic() + seconds
        while True:
            response = self._get(f"/dags/{dag_id}/dagRuns/{run_id}")
            response.raise_for_status()
            state = str(response.json()["state"])
            if state in ("success", "failed"):
                return state
            if time.monotonic() > deadline:
                raise TimeoutError(f"run {run_id} of {dag_id} is still {state}; see {self.home}")
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, the oldest first."""
        runs: list[dict[str, Any]] = self._get(f"/dags/{dag_id}/dagRuns").json()["dag_runs"]
        return sorted(runs, key=lambda run: run["start_date"] or "9")

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return a task instance from the API: ``state``, ``try_number`` and more."""
        return dict(self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}").json())

    def mark_failed(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Mark a task failed, as the UI does."""
        instance = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        self._send("PATCH", instance, {"new_state": "failed", **self._mark_for_good})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, as the UI does, so that Airflow runs it again."""
        which = {"dag_run_id": run_id, "task_ids": [task_id], "only_failed": False, "reset_dag_runs": True}
        self._send("POST", f"/dags/{dag_id}/clearTaskInstances", {"dry_run": False, **which})

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, form: dict[str, Any]) -> None:
        """Answer a task's question, as the UI does; Airflow 3.1 and later."""
        instance = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._send("PATCH", instance, {"chosen_options": [option], "params_input": form})

    def question(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Return a task's question with its answer, as the API has it."""
        return dict(self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails").json())

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Return a task's XCom, or ``None`` where there is none."""
        entry = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        response = self._get(entry + self._xcom_as_json)
        value = response.json()["value"] if response.ok else None
        return json.loads(value) if isinstance(value, str) else value

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str]:
        """Return the URLs of a task instance's links by name, as the UI shows them, without empty ones."""
        found = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/links").json()
        links: dict[str, str] = found.get("extra_links", found)
        return {name: url for name, url in links.items() if isinstance(url, str) and url.startswith("http")}

    def connection_form(self, connection_type: str) -> dict[str, Any]:
        """Return the data from which the UI of Airflow 3 builds a connection's form."""
        self._log_in()
        forms = self._call("GET", "/ui/connections/hook_meta")[0].json()
        return next(form for form in forms if form["connection_type"] == connection_type)

    def command(self, *arguments: str, may_fail: bool = False) -> str:
        """Run an ``airflow`` command to its end, and return its output."""
        airflow = Path(sys.executable).parent / "airflow"
        ended = subprocess.run([airflow, *arguments], env=self._env, check=False, capture_output=True, text=True)
        if ended.returncode and not may_fail:
            raise RuntimeError(f"airflow {' '.join(arguments)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def watch_memory(self) -> MemoryWatch:
        """Return a context manager that watches the memory of the task processes."""
        assert self._process is not None
        return MemoryWatch(self._process.pid)

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this Airflow, also those whose parent has died."""
        return self._tree().processes()

    def processes_connected_to(self, port: int) -> list[psutil.Process]:
        """Return the processes that hold a connection to a local port, e.g. the task that talks to the sandbox."""
        return self._tree().connected_to(port)

    def _tree(self) -> ProcessTree:
        assert self._process is not None
        return ProcessTree(self._process, self.home)

    def _new_run(self, conf: dict[str, Any]) -> dict[str, Any]:
        return {"logical_date": None, "conf": conf}

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                health = self._session.get(f"{self.url}{self._health}", timeout=10).json()
            except (requests.RequestException, ValueError):
                health = {}
            if all(health.get(part, {}).get("status") == "healthy" for part in self._parts):
                self._warm_up()
                return
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        raise TimeoutError(f"Airflow did not become healthy; see {self.home / 'standalone.log'}")

    def _warm_up(self) -> None:
        """Send the first request to the API of the tasks, because it takes seconds, and a task waits for 5 of them."""
        self._call("GET", "/execution/health")

    def _get(self, path: str) -> requests.Response:
        self._log_in()
        return self._call("GET", f"{self._api}{path}")[0]

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        self._log_in()
        response, repeated = self._call(method, f"{self._api}{path}", body)
        # The first call did it, though its response was an error or none.
        done_before = repeated and response.status_code == HTTPStatus.CONFLICT
        if not response.ok and not done_before:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[requests.Response, bool]:
        """Return the response, and whether the call was repeated.

        It is repeated after an error of the server, because SQLite may be locked on a busy machine.
        """
        deadline = time.monotonic() + _CALL_WITHIN_SECONDS
        repeated = False
        while True:
            try:
                response = self._session.request(method, f"{self.url}{path}", json=body, timeout=60)
            except (requests.ConnectionError, requests.Timeout):
                if time.monotonic() > deadline:
                    raise
            else:
                if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR or time.monotonic() > deadline:
                    return response, repeated
            repeated = True
            time.sleep(_BETWEEN_LOOKS_SECONDS)

    def _log_in(self) -> None:
        if "Authorization" not in self._session.headers:
            token = self._call("GET", "/auth/token")[0].json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"


def standalone(home: Path, dags: Path, env: dict[str, str]) -> Standalone:
    """Return ``standalone`` of the installed Airflow, not started."""
    if version("apache-airflow").startswith("2."):
        from standalone2 import Standalone2  # noqa: PLC0415 - it is a Standalone

        return Standalone2(home, dags, env)
    return Standalone(home, dags, env)
