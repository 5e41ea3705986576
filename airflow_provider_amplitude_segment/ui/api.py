"""The routes behind the pages. All are ``GET``, and all demand a login.

No ``from __future__ import annotations`` here, because FastAPI reads the annotations of the routes as they run.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.models.dag import DagModel
from fastapi import Depends, FastAPI, HTTPException, Query, Response

from airflow_provider_amplitude_segment.ui.report_xcoms import dags_with_reports
from airflow_provider_amplitude_segment.ui.static_files import page_files
from airflow_provider_amplitude_segment.ui.sync_rows import list_runs, list_syncs
from airflow_provider_amplitude_segment.ui.task_details import task_details
from airflow_provider_amplitude_segment.ui.task_instances import Instance
from airflow_provider_amplitude_segment.ui.unreported import dags_with_syncs

MOST_RUNS = 100

_Text = Annotated[str, Query(min_length=1, max_length=500)]
_MapIndex = Annotated[int, Query(ge=-1, le=2**31 - 1)]
# A route shows XComs, and states of task instances; Airflow lets an administrator give one without the other.
_ENTITIES = (DagAccessEntity.XCOM, DagAccessEntity.TASK_INSTANCE)
_MAY_READ = [Depends(requires_access_dag("GET", entity)) for entity in _ENTITIES]


def create_app() -> FastAPI:
    """Return the application, which Airflow mounts below ``/cohort-syncs``; it publishes no description of itself."""
    app = FastAPI(
        title="Cohort syncs",
        dependencies=[Depends(get_user)],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_api_route("/syncs", get_syncs)
    app.add_api_route("/history", get_history, dependencies=_MAY_READ)
    app.add_api_route("/task", get_task, dependencies=_MAY_READ)
    app.add_api_route("/pages/{name}", get_page)
    return app


def get_syncs(response: Response, session: SessionDep, user: GetUserDep) -> dict[str, Any]:
    """Return a row for each cohort and destination that the user may read."""
    _forbid_caches(response)
    dag_ids, with_questions = _readable(dags_with_syncs(session), user)
    return list_syncs(session, dag_ids, with_questions)


def get_history(
    response: Response,
    session: SessionDep,
    user: GetUserDep,
    *,
    dag_id: _Text,  # noqa: ARG001 - `requires_access_dag` reads it
    task_id: _Text,  # noqa: ARG001 - it names the row, and other tasks may have synced the same cohort
    cohort_id: _Text,
    destination: _Text,
    map_index: _MapIndex = -1,  # noqa: ARG001 - as task_id
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS)] = MOST_RUNS,
) -> dict[str, Any]:
    """Return the runs that synced a cohort to a destination, of all DAGs that the user may read."""
    _forbid_caches(response)
    dag_ids, with_questions = _readable(dags_with_reports(session), user)
    return list_runs(session, dag_ids, with_questions, cohort_id=cohort_id, destination=destination, limit=limit)


def get_task(
    response: Response,
    session: SessionDep,
    user: GetUserDep,
    *,
    dag_id: _Text,
    run_id: _Text,
    task_id: _Text,
    map_index: _MapIndex = -1,
) -> dict[str, Any]:
    """Return what the tab of a task instance shows."""
    _forbid_caches(response)
    may_read_questions = _rights({dag_id}, user)(dag_id, DagAccessEntity.HITL_DETAIL)
    instance = Instance(dag_id, run_id, task_id, map_index)
    details = task_details(session, instance, with_question=may_read_questions)
    if details is None:
        raise HTTPException(404, "There is no such task instance.")
    return details


def get_page(name: str) -> Response:
    """Return a JavaScript module or a style sheet of the pages."""
    found = page_files().get(name)
    if found is None:
        raise HTTPException(404, "There is no such file.")
    content, media_type = found
    # `no-cache`: a browser asks each time, so an upgrade is seen at once.
    headers = {"Cache-Control": "no-cache, private", "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=media_type, headers=headers)


def _readable(dag_ids: set[str], user: Any) -> tuple[set[str], set[str]]:
    """Return those of the DAGs whose XComs and task instances the user may read; and of these, with questions too.

    Airflow's own filter, `ReadableXComFilterDep`, asks for the right to a DAG, not to its XComs; and it needs the
    application of Airflow's own routes.
    """
    known = dag_ids & get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    is_allowed = _rights(known, user)
    readable = {dag_id for dag_id in known if all(is_allowed(dag_id, entity) for entity in _ENTITIES)}
    return readable, {dag_id for dag_id in readable if is_allowed(dag_id, DagAccessEntity.HITL_DETAIL)}


def _rights(dag_ids: Collection[str], user: Any) -> Callable[[str, DagAccessEntity], bool]:
    """Return a function that says whether the user may read a part of one of the DAGs."""
    # Airflow 3.2 is the first with teams.
    find_teams = getattr(DagModel, "get_dag_id_to_team_name_mapping", None)
    teams = find_teams(sorted(dag_ids)) if find_teams is not None and dag_ids else {}
    manager = get_auth_manager()

    def is_allowed(dag_id: str, entity: DagAccessEntity) -> bool:
        details = DagDetails(id=dag_id, **({"team_name": teams[dag_id]} if teams.get(dag_id) else {}))
        return bool(manager.is_authorized_dag(method="GET", access_entity=entity, details=details, user=user))

    return is_allowed


def _forbid_caches(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
