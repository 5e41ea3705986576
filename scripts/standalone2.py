"""``airflow standalone`` on Airflow 2.11."""

from __future__ import annotations

from typing import Any, ClassVar

from standalone import Standalone


class Standalone2(Standalone):
    """The same on Airflow 2, which has the older API with a password."""

    _api = "/api/v1"
    _health = "/api/v1/health"
    _parts = ("metadatabase", "scheduler", "triggerer")
    _mark_for_good: ClassVar[dict[str, Any]] = {"dry_run": False}
    _xcom_as_json = "?stringify=false"

    def _settings(self, port: int) -> dict[str, str]:
        return {
            # Seconds; on a busy machine, another process may hold SQLite's lock for longer than the default of 5.
            # In Airflow 3's API server a thread may wait for a lock that only its own end releases: it keeps the 5.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
        }

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task with the command, because this API does not clear a running task.

        Its clear_task_instances() sets the state of instances of another session, and does not merge them.
        """
        date = str(self._get(f"/dags/{dag_id}/dagRuns/{run_id}").json()["logical_date"])
        dates = ["--start-date", date, "--end-date", date]
        self.command("tasks", "clear", dag_id, "--yes", "--task-regex", f"^{task_id}$", *dates)

    def _new_run(self, conf: dict[str, Any]) -> dict[str, Any]:
        return {"conf": conf}

    def _warm_up(self) -> None:
        """Do nothing, because tasks use the database."""

    def _log_in(self) -> None:
        password = (self.home / "standalone_admin_password.txt").read_text(encoding="utf-8").strip()
        self._session.auth = ("admin", password)
