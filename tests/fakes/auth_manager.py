"""Airflow's Simple auth manager, with viewers of one DAG, as other auth managers of Airflow have."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

DENIED = {
    "no_questions": DagAccessEntity.HITL_DETAIL,
    "no_xcoms": DagAccessEntity.XCOM,
    "no_instances": DagAccessEntity.TASK_INSTANCE,
}
"""By name, what a viewer of all DAGs may not read of them."""


class DagAuthManager(SimpleAuthManager):
    """A user ``only:<dag_id>`` may read that DAG."""

    def is_authorized_dag(self, **asked: Any) -> bool:
        name, details = asked["user"].username, asked.get("details")
        dag_id = details.id if details is not None else None
        if name.startswith("only:") and dag_id is not None and dag_id != name.removeprefix("only:"):
            return False
        if name in DENIED and asked.get("access_entity") is DENIED[name]:
            return False
        return bool(super().is_authorized_dag(**asked))


def bearer_of(manager: SimpleAuthManager, name: str, role: str) -> dict[str, str]:
    """Return the header of a logged-in user."""
    return {"Authorization": f"Bearer {token_of(manager, name, role)}"}


def token_of(manager: SimpleAuthManager, name: str, role: str) -> str:
    """Return the token that a login of this user gives."""
    return str(manager.generate_jwt(SimpleAuthManagerUser(username=name, role=role)))
