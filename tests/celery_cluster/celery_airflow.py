"""Airflow as many run it: each part a process of its own, tasks on Celery workers that share no disk."""

from __future__ import annotations

import math
import secrets
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from celery_cluster.worker_name import WORKER_NAME
from standalone import Standalone

if TYPE_CHECKING:
    from celery_cluster.postgres_server import PostgresServer
    from celery_cluster.redis_server import RedisServer

HEARTBEAT_TIMEOUT_SECONDS = 30
QUEUED_TIMEOUT_SECONDS = 75
WORKER_CONCURRENCY = 3
_PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_STOP_WITHIN_SECONDS = 30
_SURELY_IDLE_SECONDS = 2.0

# What docs/explanation/scaling.md recommends, with shorter times.
_DEAD_WORKERS_TASKS_COME_BACK = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(QUEUED_TIMEOUT_SECONDS),
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


class CeleryWorker:
    """One worker with a home, a temporary folder and a host name of its own."""

    def __init__(self, name: str, home: Path, env: dict[str, str]) -> None:
        self.name = name
        self.killed_at = math.inf
        self._idle_since: dict[int, float] = {}
        (home / "temporary").mkdir(parents=True)
        own = {"AIRFLOW_HOME": str(home), "TMPDIR": str(home / "temporary"), WORKER_NAME: name}
        command = ["celery", "worker", "--skip-serve-logs", "-H", name]
        self.process = _start(command, {**env, **own}, home / "worker.log")

    def processes(self) -> list[psutil.Process]:
        """Return the worker, its pool, and the tasks in it."""
        return _tree(self.process)

    def freeze_the_idle_but_one(self) -> None:
        """Stop processes of the pool that run no task: what Celery hands them is taken from the queue, and not begun.

        Called again, it stops more of them. One that only just has no task may be about to report how that ended.
        """
        pool = [p for p in psutil.Process(self.process.pid).children() if p.status() != psutil.STATUS_STOPPED]
        idle = [process for process in pool if not process.children()]
        now = time.monotonic()
        self._idle_since = {process.pid: self._idle_since.get(process.pid, now) for process in idle}
        long_idle = [process for process in idle if now - self._idle_since[process.pid] > _SURELY_IDLE_SECONDS]
        for process in long_idle[: len(pool) - 1]:
            process.suspend()

    def kill(self) -> int:
        """Kill every process of it with SIGKILL, as a machine that is gone; return how many there were."""
        # Who is frozen starts nothing more, so that none is missed.
        for process in self.processes():
            process.suspend()
        killed = self.processes()
        for process in killed:
            process.kill()
        self.killed_at = time.time()
        self.process.wait(10)
        psutil.wait_procs(killed, timeout=10)
        return len(killed)


class CeleryAirflow(Standalone):
    """The parts, two workers, and the API that a test asks."""

    def __init__(
        self, home: Path, dags: Path, env: dict[str, str], *, redis: RedisServer, postgres: PostgresServer
    ) -> None:
        here = Path(__file__).parent
        super().__init__(
            home,
            dags,
            {
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__CORE__PARALLELISM": "16",
                "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                "AIRFLOW__CORE__HOSTNAME_CALLABLE": "worker_name.worker_name",
                "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{postgres.address}",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{postgres.address}",
                "AIRFLOW__CELERY__BROKER_URL": redis.url,
                "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(WORKER_CONCURRENCY),
                "PYTHONPATH": str(here),
                **_DEAD_WORKERS_TASKS_COME_BACK,
                **env,
            },
        )
        self.workers: list[CeleryWorker] = []
        self._control: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self.command("db", "migrate")
        try:
            for part in _PARTS:
                self._control.append(_start([part], self._env, self.home / f"{part}.log"))
            self._process = self._control[0]
            self._wait_until_healthy()
            for name in ("first", "second"):
                self.add_worker(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        tree = self.processes()
        for part in self._started():
            part.terminate()
        _, alive = psutil.wait_procs(tree, timeout=_STOP_WITHIN_SECONDS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)

    def add_worker(self, name: str) -> CeleryWorker:
        """Start one more worker."""
        worker = CeleryWorker(name, self.home / name, self._env)
        self.workers.append(worker)
        return worker

    def processes(self) -> list[psutil.Process]:
        """Return every process of this Airflow, the workers' too."""
        return [process for part in self._started() for process in _tree(part)]

    def refuse_to_wait_for_the_dead(self) -> None:
        """Raise where a part or a worker has ended that nobody killed."""
        killed = [worker.process for worker in self.workers if worker.killed_at < math.inf]
        for part in self._started():
            if part not in killed and part.poll() is not None:
                raise RuntimeError(f"{part.args} has ended; see {self.home}")

    def _started(self) -> list[subprocess.Popen[bytes]]:
        return [*self._control, *(worker.process for worker in self.workers)]

    def mapped(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run that came of mapping, by map index."""
        listed = self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100").json()["task_instances"]
        return sorted((ti for ti in listed if ti["map_index"] >= 0), key=lambda ti: ti["map_index"])

    def tries(self, ti: dict[str, Any]) -> list[dict[str, Any]]:
        """Return each try of a mapped task instance, the first one first."""
        listed = self._get(f"{_path_of(ti)}/{ti['map_index']}/tries").json()["task_instances"]
        return sorted(listed, key=lambda tried: tried["try_number"])

    def report(self, ti: dict[str, Any]) -> dict[str, Any]:
        """Return the sync report that a mapped task instance left."""
        entry = f"{_path_of(ti)}/xcomEntries/sync_report?map_index={ti['map_index']}"
        report: dict[str, Any] = self._get(entry).json()["value"]
        return report


def _path_of(ti: dict[str, Any]) -> str:
    return f"/dags/{ti['dag_id']}/dagRuns/{ti['dag_run_id']}/taskInstances/{ti['task_id']}"


def _start(command: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(  # noqa: S603 - our own
            [Path(sys.executable).parent / "airflow", *command], env=env, stdout=out, stderr=out, start_new_session=True
        )


def _tree(root: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and all that came of it; by their parents, as Celery overwrites what its environment was."""
    try:
        process = psutil.Process(root.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
