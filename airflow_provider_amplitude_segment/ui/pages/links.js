/** Addresses: of this provider's routes, and of Airflow's own pages. */

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null);
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

/** The address of a route beside the folder that a module of these pages is served from, with its parameters. */
export function route(moduleUrl, name, parameters = {}) {
  const asked = query(parameters);
  return new URL(asked ? `../${name}?${asked}` : `../${name}`, moduleUrl).href;
}

/** Airflow's page of a task instance, below its base path. */
export function taskInstancePath({ dag_id, run_id, task_id, map_index }) {
  const path = `/dags/${encodeURIComponent(dag_id)}/runs/${encodeURIComponent(run_id)}/tasks/${encodeURIComponent(task_id)}`;
  return isMapped(map_index) ? `${path}/mapped/${encodeURIComponent(map_index)}` : path;
}

/** Airflow's page of a DAG, below its base path. */
export function dagPath(dagId) {
  return `/dags/${encodeURIComponent(dagId)}`;
}

/** Airflow's page on which a person responds to the question of a task instance. */
export function requiredActionsPath(instance) {
  return `${taskInstancePath(instance)}/required_actions`;
}

/** Whether a map index is one: Airflow writes -1, or nothing, for a task that is not mapped. */
export function isMapped(mapIndex) {
  return mapIndex !== undefined && mapIndex !== null && mapIndex !== "" && Number(mapIndex) >= 0;
}

/** An address that is safe to follow from a path below the base path, where React's router is not at hand. */
export function below(base, path) {
  return new URL(path.replace(/^\//, ""), base).href;
}
