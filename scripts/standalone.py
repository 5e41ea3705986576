"""A real Airflow on loopback: ``airflow standalone`` with SQLite, started, asked over its API, and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import psutil
import requests

_HEALTHY_WITHIN_SECONDS = 240
_RUN_WITHIN_SECONDS = 900
_STOP_WITHIN_SECONDS = 40


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Standalone:
    """``airflow standalone`` with the DAGs of one folder; a context manager that leaves nothing running."""

    def __init__(self, home: Path, dags: Path, env: dict[str, str]) -> None:
        self.home = home
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        bin_folder = Path(sys.executable).parent
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            # standalone starts its parts from the PATH.
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        """Start, and wait until all parts are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "standalone.log").open("wb") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).parent / "airflow", "standalone"],
                env=self._env,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # A background job of a shell ignores SIGINT, and only SIGINT stops the whole tree.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
            )
        try:
            self._wait_until_healthy()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every process that was started."""
        if self._process is None:
            return
        tree = self._tree()
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGINT)
        _, alive = psutil.wait_procs(tree, timeout=_STOP_WITHIN_SECONDS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)
        self._process.wait(timeout=5)

    def wait_for_dags(self, *dag_ids: str) -> None:
        """Wait until the DAGs are parsed."""
        deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
        while not all(self._get(f"/api/v2/dags/{dag_id}").ok for dag_id in dag_ids):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {dag_ids} were parsed; see {self.home / 'standalone.log'}")
            time.sleep(1)

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> None:
        """Trigger a run, let the DAG run, and wait until no run of it is under way."""
        headers = self._headers()
        made = self._session.post(
            f"{self.url}/api/v2/dags/{dag_id}/dagRuns",
            json={"logical_date": None, "conf": conf},
            headers=headers,
            timeout=60,
        )
        made.raise_for_status()
        self._session.patch(
            f"{self.url}/api/v2/dags/{dag_id}", json={"is_paused": False}, headers=headers, timeout=60
        ).raise_for_status()
        deadline = time.monotonic() + _RUN_WITHIN_SECONDS
        while any(run["state"] in ("queued", "running") for run in self.runs(dag_id)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"a run of {dag_id} did not end")
            time.sleep(0.5)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, the oldest first."""
        runs: list[dict[str, Any]] = self._get(f"/api/v2/dags/{dag_id}/dagRuns").json()["dag_runs"]
        return sorted(runs, key=lambda run: run["start_date"] or "9")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Return what a task left under a key; ``None`` where it left nothing."""
        answer = self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}")
        value = answer.json()["value"] if answer.ok else None
        return json.loads(value) if isinstance(value, str) else value

    def watch_memory(self) -> MemoryWatch:
        """Return a watch over the memory of the task processes, to be used as a context manager."""
        assert self._process is not None
        return MemoryWatch(self._process.pid)

    def _tree(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _HEALTHY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                health = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=10).json()
            except (requests.RequestException, ValueError):
                health = {}
            parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
            if all(health.get(part, {}).get("status") == "healthy" for part in parts):
                return
            time.sleep(1)
        raise TimeoutError(f"Airflow did not become healthy; see {self.home / 'standalone.log'}")

    def _get(self, path: str) -> requests.Response:
        return self._session.get(f"{self.url}{path}", headers=self._headers(), timeout=60)

    def _headers(self) -> dict[str, str]:
        if "Authorization" not in self._session.headers:
            token = self._session.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"
        return {}


class MemoryWatch:
    """The most memory that one task process held, sampled five times a second.

    ``peak_mib`` counts what the process does not share with others (USS): a task is forked from a warm parent.
    """

    def __init__(self, parent_pid: int) -> None:
        self._parent = psutil.Process(parent_pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mib = 0.0
        self.peak_rss_mib = 0.0

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End watching."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.2):
            for process in self._parent.children(recursive=True):
                try:
                    # A worker names itself after the task it runs, and runs it in a child.
                    supervisor = process.parent()
                    if supervisor is None or not " ".join(supervisor.cmdline()).startswith("airflow worker -- "):
                        continue
                    memory = process.memory_full_info()
                except psutil.Error:
                    continue
                self.peak_mib = max(self.peak_mib, memory.uss / 2**20)
                self.peak_rss_mib = max(self.peak_rss_mib, memory.rss / 2**20)
