"""The Simple auth manager, except that a viewer may read one DAG only, as Airflow's larger auth managers can say."""

from __future__ import annotations

import os
from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

DAG_OF_THE_VIEWER = "UI_TEST_DAG_OF_THE_VIEWER"


class OneDagAuthManager(SimpleAuthManager):
    """Users with the role ``viewer`` may read the DAG that the environment names."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        """Return whether a user may do this with a DAG; without a DAG, whether with any."""
        if user.get_role().upper() == "VIEWER" and details and details.id not in (None, os.environ[DAG_OF_THE_VIEWER]):
            return False
        may: bool = super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
        return may
