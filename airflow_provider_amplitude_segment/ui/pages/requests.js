/** Requests to this provider's routes, and what a failure means for the reader. */

const MEANINGS = {
  401: "Your login has ended. Log in again, then press Retry.",
  403: "You may not read this. Ask your administrator for read access to the DAG's XComs.",
  404: "Airflow does not have this task instance any more.",
};

/** What a response with this status means. */
export function meaning(status) {
  return MEANINGS[status] ?? `Airflow's API server responded with HTTP ${status}. Press Retry; if it stays, read the API server's log.`;
}

/** Get JSON, or throw an `Error` whose message is for the reader. An aborted request throws its `AbortError`. */
export async function getJson(url, { signal, fetcher = globalThis.fetch } = {}) {
  let response;
  try {
    response = await fetcher(url, { credentials: "same-origin", headers: { Accept: "application/json" }, signal });
  } catch (error) {
    if (error?.name === "AbortError") throw error;
    throw new Error("Airflow's API server cannot be reached. Check your network, then press Retry.");
  }
  if (!response.ok) throw new Error(meaning(response.status));
  try {
    return await response.json();
  } catch (error) {
    if (error?.name === "AbortError") throw error;
    throw new Error("Airflow's API server responded with something else than JSON. Press Retry.");
  }
}
