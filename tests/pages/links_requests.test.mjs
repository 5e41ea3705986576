import assert from "node:assert/strict";
import { test } from "node:test";

import { below, dagPath, isMapped, requiredActionsPath, route, taskInstancePath } from "../../airflow_provider_amplitude_segment/ui/pages/links.js";
import { getJson } from "../../airflow_provider_amplitude_segment/ui/pages/requests.js";

const MODULE = "https://airflow.example/team-a/cohort-syncs/pages/cohort_syncs.js";
const instance = { dag_id: "a/b", run_id: "scheduled__2026-11-27T00:00:00+00:00", task_id: "group.sync", map_index: -1 };
const answer = (status, body) => async () => new Response(body, { status });

test("a route stands beside the pages, below the path at which Airflow is served", () => {
  assert.equal(route(MODULE, "syncs"), "https://airflow.example/team-a/cohort-syncs/syncs");
});

test("a parameter cannot become another one, and one without a value is left out", () => {
  const url = new URL(route(MODULE, "history", { dag_id: "a&limit=9#x", cohort_id: "ü 1+", limit: undefined, map_index: -1 }));
  assert.deepEqual([...url.searchParams], [["dag_id", "a&limit=9#x"], ["cohort_id", "ü 1+"], ["map_index", "-1"]]);
  assert.equal(url.hash, "");
});

test("a link to a task instance encodes each part, and names a map index only where there is one", () => {
  assert.equal(
    taskInstancePath(instance),
    "/dags/a%2Fb/runs/scheduled__2026-11-27T00%3A00%3A00%2B00%3A00/tasks/group.sync",
  );
  assert.ok(taskInstancePath({ ...instance, map_index: 0 }).endsWith("/tasks/group.sync/mapped/0"));
  assert.ok(requiredActionsPath(instance).endsWith("/tasks/group.sync/required_actions"));
  assert.equal(dagPath("../x?y"), "/dags/..%2Fx%3Fy");
});

test("a map index is one from zero on, as number and as text", () => {
  assert.deepEqual([-1, "-1", "", null, undefined].map(isMapped), [false, false, false, false, false]);
  assert.deepEqual([0, "0", 7].map(isMapped), [true, true, true]);
});

test("a path stays below the base path", () => {
  assert.equal(below("https://airflow.example/team-a/", "/dags/x"), "https://airflow.example/team-a/dags/x");
});

test("JSON is returned", async () => {
  assert.deepEqual(await getJson("x", { fetcher: answer(200, '{"syncs": []}') }), { syncs: [] });
});

test("each failure says what to do", async () => {
  await assert.rejects(getJson("x", { fetcher: answer(401, "") }), /Log in again/);
  await assert.rejects(getJson("x", { fetcher: answer(403, "") }), /read access to the DAG's XComs/);
  await assert.rejects(getJson("x", { fetcher: answer(500, "secret") }), /HTTP 500\. Press Retry/);
  await assert.rejects(getJson("x", { fetcher: answer(200, "<html>") }), /something else than JSON/);
  await assert.rejects(getJson("x", { fetcher: async () => { throw new TypeError("failed"); } }), /cannot be reached/);
});

test("a request that the page has given up is no failure to show", async () => {
  const fetcher = async () => { throw new DOMException("aborted", "AbortError"); };
  await assert.rejects(getJson("x", { fetcher }), { name: "AbortError" });
});
