"""Airflow imports this in each of its processes: a viewer of the Simple auth manager may read one DAG only.

The Simple auth manager has no rights to one DAG, and ``airflow standalone`` takes no other auth manager.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

__all__: list[str] = []

_of_any_dag = SimpleAuthManager.is_authorized_dag


def _is_authorized_dag(manager: SimpleAuthManager, *, user: Any, details: Any = None, **asked: Any) -> bool:
    """Return whether a user may do this with a DAG; without a DAG, whether with any."""
    one = os.environ["UI_TEST_DAG_OF_THE_VIEWER"]
    if user.role.upper() == "VIEWER" and details and details.id not in (None, one):
        return False
    return bool(_of_any_dag(manager, user=user, details=details, **asked))


SimpleAuthManager.is_authorized_dag = _is_authorized_dag
